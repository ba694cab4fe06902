from django.apps import AppConfig


class AuditConfig(AppConfig):
    name = "koppel.audit"
    label = "audit"

    def ready(self) -> None:
        from koppel.audit import wiring  # noqa: F401, PLC0415 - models must be loaded first
