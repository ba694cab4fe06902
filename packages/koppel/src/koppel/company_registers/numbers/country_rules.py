"""The form of company numbers, country by country.

Check digits come from python-stdnum where it has them. The clean-up before it is Koppel's, because it refuses
what people really type ("NO 923 609 016 MVA", twelve Swedish digits). The Dutch 11-test is a measured
regularity of numbers from 50,000,000 up, not a published rule, so it only warns.
"""

import re
from collections.abc import Callable

from django.utils.translation import gettext_lazy as _
from stdnum import exceptions
from stdnum.be import vat as be_vat
from stdnum.dk import cvr
from stdnum.ee import registrikood
from stdnum.fi import ytunnus
from stdnum.fr import siren, siret
from stdnum.lt import pvm
from stdnum.lv import pvn
from stdnum.nl import bsn
from stdnum.no import orgnr as no_orgnr
from stdnum.pl import nip, regon
from stdnum.se import orgnr as se_orgnr

from koppel.company_registers.numbers.check_result import (
    NumberCheck,
    NumberNote,
    NumberStatus,
    doubtful,
    invalid,
    valid,
)
from koppel.company_registers.numbers.german_courts import check_german_number

DUTCH_CHECKED_NUMBER_MIN = 50_000_000
CENTURIES = ("18", "19", "20")
_MISTYPED = _("The check digit is wrong. Please check the number.")


def _check_dutch(compact_number: str, _original_text: str) -> NumberCheck:  # noqa: PLR0911 - one return per kind of number
    if re.fullmatch(r"(NL)?\d{9}B\d{2}", compact_number):
        message = _(
            "This is a VAT number. Enter the COC number instead: 8 digits, on the extract of the register."
        )
        return invalid(compact_number, "NL", NumberNote.VAT_NUMBER, message)
    digits = compact_number.removeprefix("NL").removeprefix("KVK").removeprefix("COC")
    if re.fullmatch(r"\d{12}", digits):
        message = _(
            "This is a branch number (12 digits). Enter the COC number of the company it belongs to: "
            "8 digits."
        )
        return invalid(digits, "NL", NumberNote.BRANCH_NUMBER, message)
    if re.fullmatch(r"\d{9}", digits):
        return _check_dutch_nine_digits(digits)
    if re.fullmatch(r"\d{7}", digits):
        message = _("A COC number has 8 digits. A leading zero was added; please check.")
        return doubtful(f"0{digits}", "NL", NumberNote.ZERO_ADDED, message)
    if not re.fullmatch(r"\d{8}", digits):
        return invalid(compact_number, "NL", NumberNote.FORMAT, _("A COC number has 8 digits."))
    total = sum(int(digit) * weight for digit, weight in zip(digits, range(8, 0, -1), strict=True))
    if int(digits) >= DUTCH_CHECKED_NUMBER_MIN and total % 11:
        return doubtful(
            digits, "NL", NumberNote.LOOKS_MISTYPED, _("Please check this number; it looks mistyped.")
        )
    return valid(digits, "NL")


def _check_dutch_nine_digits(digits: str) -> NumberCheck:
    if bsn.is_valid(digits):
        message = _(
            "This is an RSIN (9 digits), issued by the tax office. Enter the COC number instead: 8 digits."
        )
        return invalid(digits, "NL", NumberNote.RSIN, message)
    return invalid(
        digits, "NL", NumberNote.FORMAT, _("A COC number has 8 digits; this one has 9. Please check.")
    )


def _check_norwegian(compact_number: str, _original_text: str) -> NumberCheck:
    digits = compact_number.removeprefix("NO").removesuffix("MVA")
    check = _validate_with(no_orgnr.validate, digits, "NO", 9)
    if check.status is NumberStatus.VALID and check.number[0] not in "89":
        message = _(
            "Norwegian organisation numbers begin with 8 or 9: this number looks mistyped. Please check."
        )
        return doubtful(check.number, "NO", NumberNote.LOOKS_MISTYPED, message)
    return check


def _check_swedish(compact_number: str, _original_text: str) -> NumberCheck:
    digits = compact_number.removeprefix("SE")
    if len(digits) == 12 and compact_number.startswith("SE") and digits.endswith("01"):
        digits = digits[:10]
    elif len(digits) == 12 and digits.startswith(("16", *CENTURIES)):
        digits = digits[2:]
    check = _validate_with(se_orgnr.validate, digits, "SE", 10)
    if len(check.number) != 10 or not check.number.isdigit():
        return check
    person = digits[2] in "01"
    formatted = f"{check.number[:6]}-{check.number[6:]}"
    return NumberCheck(
        number=formatted,
        scheme=check.scheme,
        status=check.status,
        note=check.note,
        message=check.message,
        is_personal=person,
    )


def _check_danish(compact_number: str, _original_text: str) -> NumberCheck:
    return _validate_with(cvr.validate, compact_number.removeprefix("DK").removeprefix("CVR"), "DK", 8)


def _check_finnish(compact_number: str, _original_text: str) -> NumberCheck:
    digits = compact_number.removeprefix("FI")
    # Numbers of before 1998 have six digits before the check digit.
    check = _validate_with(ytunnus.validate, digits.zfill(8) if len(digits) == 7 else digits, "FI", 8)
    formatted = f"{check.number[:7]}-{check.number[7:]}" if len(check.number) == 8 else check.number
    return NumberCheck(
        number=formatted, scheme=check.scheme, status=check.status, note=check.note, message=check.message
    )


def _check_belgian(compact_number: str, _original_text: str) -> NumberCheck:
    digits = compact_number.removeprefix("BE")
    return _validate_with(be_vat.validate, f"0{digits}" if len(digits) == 9 else digits, "BE", 10)


def _check_french(compact_number: str, _original_text: str) -> NumberCheck:
    """Check the SIREN, with which a SIRET begins, and a VAT number after two characters."""
    digits = compact_number.removeprefix("FR")
    if len(digits) == 14 and siret.is_valid(digits):
        digits = digits[:9]
    elif len(digits) == 11 and siren.is_valid(digits[2:]):
        digits = digits[2:]
    return _validate_with(siren.validate, digits, "FR", 9)


def _check_british(compact_number: str, _original_text: str) -> NumberCheck:
    if re.fullmatch(r"GB(\d{9}|\d{12})", compact_number):
        message = _(
            "This is a VAT number. Enter the company number instead: 8 characters, at Companies House."
        )
        return invalid(compact_number, "GB", NumberNote.VAT_NUMBER, message)
    number = compact_number.zfill(8) if re.fullmatch(r"\d{6,7}", compact_number) else compact_number
    # Societies keep the letters of the register that they came from (IP00525R), some partnerships an A.
    if re.fullmatch(r"(\d{2}|[A-Z]{2}|R0)\d{6}|(IP|SP|NP|RS)\d{3}[A-Z\d]{3}|(SL|NI)\d{5}A", number):
        return valid(number, "GB")
    return invalid(
        compact_number,
        "GB",
        NumberNote.FORMAT,
        _("A company number has 8 digits, or two letters and 6 digits."),
    )


def _check_estonian(compact_number: str, _original_text: str) -> NumberCheck:
    return _validate_with(registrikood.validate, compact_number.removeprefix("EE"), "EE", 8)


def _check_latvian(compact_number: str, _original_text: str) -> NumberCheck:
    check = _validate_with(pvn.validate, compact_number.removeprefix("LV"), "LV", 11)
    return NumberCheck(
        number=check.number,
        scheme=check.scheme,
        status=check.status,
        note=check.note,
        message=check.message,
        is_personal=len(check.number) == 11 and check.number[0] < "4",
    )


def _check_lithuanian(compact_number: str, _original_text: str) -> NumberCheck:
    """Check a company code by the check digit of a VAT number, which python-stdnum knows: the same in five
    codes.
    """
    if not re.fullmatch(r"\d{9}", compact_number):
        return invalid(
            compact_number,
            "LT",
            NumberNote.FORMAT,
            _("This number must have %(length)s digits.") % {"length": 9},
        )
    if pvm.calc_check_digit(compact_number[:-1]) != compact_number[-1]:
        return doubtful(compact_number, "LT", NumberNote.LOOKS_MISTYPED, _MISTYPED)
    return valid(compact_number, "LT")


def _check_polish(compact_number: str, _original_text: str) -> NumberCheck:
    """Check a KRS, NIP or REGON.

    KRS and NIP have ten digits; a KRS begins with zeros and has no check digit. REGON has 9 or 14.
    """
    digits = compact_number.removeprefix("PL").removeprefix("KRS").removeprefix("NIP").removeprefix("REGON")
    if re.fullmatch(r"00\d{8}", digits):
        return valid(digits, "PL")
    if len(digits) in (9, 14):
        return _validate_with(regon.validate, digits, "PL", len(digits))
    return _validate_with(nip.validate, digits, "PL", 10)


def _check_luxembourgish(compact_number: str, _original_text: str) -> NumberCheck:
    if match := re.fullmatch(r"(?:RCS)?(?:LUXEMBOURG)?([A-L])(\d{1,6})", compact_number):
        return valid("".join(match.groups()), "LU")
    return invalid(
        compact_number,
        "LU",
        NumberNote.FORMAT,
        _("A register number has a letter and up to 6 digits, for instance “B 12345”."),
    )


def _check_irish(compact_number: str, _original_text: str) -> NumberCheck:
    if re.fullmatch(r"\d{1,6}", compact_number):
        return valid(compact_number, "IE")
    return invalid(compact_number, "IE", NumberNote.FORMAT, _("A company number has at most 6 digits."))


def _validate_with(validate: Callable[[str], str], digits: str, country: str, length: int) -> NumberCheck:
    """Check a number by `validate`. A check digit that does not fit is a doubt; a wrong length or a letter is
    refused.
    """
    try:
        return valid(validate(digits), country)
    except exceptions.ValidationError:
        pass
    if re.fullmatch(rf"\d{{{length}}}", digits):
        return doubtful(digits, country, NumberNote.LOOKS_MISTYPED, _MISTYPED)
    return invalid(
        digits, country, NumberNote.FORMAT, _("This number must have %(length)s digits.") % {"length": length}
    )


VALIDATORS: dict[str, Callable[[str, str], NumberCheck]] = {
    "NL": _check_dutch,
    "NO": _check_norwegian,
    "SE": _check_swedish,
    "DK": _check_danish,
    "FI": _check_finnish,
    "BE": _check_belgian,
    "DE": check_german_number,
    "GB": _check_british,
    "FR": _check_french,
    "EE": _check_estonian,
    "LV": _check_latvian,
    "LT": _check_lithuanian,
    "PL": _check_polish,
    "LU": _check_luxembourgish,
    "IE": _check_irish,
}
"""Each takes the capitals and digits of the text, without labels around the number, and the text as typed."""
