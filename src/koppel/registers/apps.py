from django.apps import AppConfig


class RegistersConfig(AppConfig):
    """Tells connections how registration numbers and names of companies are compared."""

    name = "koppel.registers"
    label = "registers"

    def ready(self) -> None:
        from koppel.connections.same_company import NumberRules, register_number_rules  # noqa: PLC0415 - after models
        from koppel.registers.lookups import core_of  # noqa: PLC0415 - after models
        from koppel.registers.numbers import check, masked  # noqa: PLC0415 - after models

        rules = NumberRules(lambda text, country: check(text, country).number, masked, core_of)
        register_number_rules(rules)
