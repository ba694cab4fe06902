"""Company numbers: normalised and checked, by country. A doubtful number may be kept; only an impossible one
is refused.

What each country's number looks like is in `country_rules`. docs/registers.md says where the rules come from.
"""

from koppel.company_registers.numbers.check import check_number, is_placeholder
from koppel.company_registers.numbers.check_result import NumberCheck, NumberNote, NumberStatus
from koppel.company_registers.numbers.masking import is_personal, mask_number

__all__ = [
    "NumberCheck",
    "NumberNote",
    "NumberStatus",
    "check_number",
    "is_personal",
    "is_placeholder",
    "mask_number",
]
