"""Tells connections how registration numbers and names of companies are compared.

Imported once, by `AppConfig.ready`."""

from koppel.company_registers.lookups import core_of
from koppel.company_registers.numbers import check, masked
from koppel.connections.companies.same_company import NumberRules, register_number_rules

rules = NumberRules(lambda text, country: check(text, country).number, masked, core_of)
register_number_rules(rules)
