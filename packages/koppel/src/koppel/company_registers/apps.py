from django.apps import AppConfig


class CompanyRegistersConfig(AppConfig):
    """Company numbers, sectors and lookups at public registers."""

    name = "koppel.company_registers"
    label = "company_registers"

    def ready(self) -> None:
        from koppel.company_registers import wiring  # noqa: F401, PLC0415 - models must be loaded first
