"""Registrations for connections: the comparison of registration numbers and names of companies.

Imported once, by `AppConfig.ready`.
"""

from koppel.company_registers import company_names
from koppel.company_registers.numbers import check_number, mask_number
from koppel.connections import hooks


def _normalise_number(text: str, country: str) -> str:
    return check_number(text, country).number


hooks.comparable_number.register(_normalise_number)
hooks.masked_number.register(mask_number)
hooks.name_without_legal_form.register(company_names.name_without_legal_form)
