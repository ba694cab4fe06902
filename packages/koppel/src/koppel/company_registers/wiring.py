"""Tells connections how registration numbers and names of companies are compared.

Imported once, by `AppConfig.ready`."""

from koppel.company_registers.lookups import core_of
from koppel.company_registers.numbers.numbers import check_number, mask_number
from koppel.connections.companies.same_company import NumberRules, register_number_rules

rules = NumberRules(lambda text, country: check_number(text, country).number, mask_number, core_of)
register_number_rules(rules)
