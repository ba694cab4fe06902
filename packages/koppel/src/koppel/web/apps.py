from django.apps import AppConfig


class WebConfig(AppConfig):
    name = "koppel.web"
    label = "web"

    def ready(self) -> None:
        from koppel.web import wiring  # noqa: F401, PLC0415 - models must be loaded first
