from django.apps import AppConfig


class OrganisationsConfig(AppConfig):
    name = "koppel.organisations"
    label = "organisations"

    def ready(self) -> None:
        from koppel.organisations import wiring  # noqa: F401, PLC0415 - models must be loaded first
