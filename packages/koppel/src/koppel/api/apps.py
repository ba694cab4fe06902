from django.apps import AppConfig


class ApiConfig(AppConfig):
    name = "koppel.api"
    label = "api"

    def ready(self) -> None:
        from koppel.api import wiring  # noqa: F401, PLC0415 - models must be loaded first
