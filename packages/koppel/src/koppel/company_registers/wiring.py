"""Register how connections compare registration numbers and names of companies.

Imported once, by `AppConfig.ready`.
"""

from koppel.company_registers.company_names import core_of
from koppel.company_registers.numbers import check_number, mask_number
from koppel.connections.hooks import comparable_number, core_name, masked_number


def _normalise_number(text: str, country: str) -> str:
    return check_number(text, country).number


comparable_number.register(_normalise_number)
masked_number.register(mask_number)
core_name.register(core_of)
