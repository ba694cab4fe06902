"""Company numbers: normalised and checked, by country. A doubtful number may be kept; only an impossible one is refused.

Sources: python-stdnum for NO, SE, DK, FI, BE, FR; own code for NL and UK, which it lacks. The Dutch 11-test is a measured
regularity of numbers from 50,000,000 up, not a published rule, so it only warns.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from stdnum import exceptions
from stdnum.be import vat as be_vat
from stdnum.dk import cvr
from stdnum.fi import ytunnus
from stdnum.fr import siren
from stdnum.no import orgnr as no_orgnr
from stdnum.se import orgnr as se_orgnr

SCHEMES = {"NL": "0106", "NO": "0192", "SE": "0007", "DK": "0184", "FI": "0212", "BE": "0208", "FR": "0002"}
"""ISO 6523 codes; '' where none is known for certain."""
CHECKED_FROM = 50_000_000
DUMMIES = {
    "NL": {"12345678", "11111111", "99999999", "87654321"},
    "NO": {"999999999", "888888888", "123456785"},
    "SE": {"5555555555", "2222222222", "0000000000", "1111111111"},
    "DK": {"12345678", "11111111", "99999999"},
    "FI": {"11111111", "12345671"},
}


class Verdict(StrEnum):
    VALID = "valid"
    DOUBTFUL = "doubtful"
    INVALID = "invalid"


@dataclass(frozen=True)
class Checked:
    """`note` is a stable word, `sentence` what to tell the person; both '' when all is well."""

    number: str
    scheme: str
    verdict: Verdict
    note: str = ""
    sentence: str | Promise = ""


def check(text: str, country: str) -> Checked:
    """What this text is as a registration number of this country. Never raises."""
    country = {"UK": "GB"}.get(country.upper(), country.upper())
    bare = re.sub(r"[\s.\-_/,:]", "", text.strip().upper())
    if not bare:
        return _wrong("", country, "empty", _("Enter a number, or choose a reason and a sector."))
    found = _CHECKS.get(country, _any_country)(bare, country)
    if found.verdict is not Verdict.INVALID and re.sub(r"\D", "", found.number) in DUMMIES.get(country, ()):
        sentence = _("This looks like a made-up number. For a test company choose the reason “test / demo”.")
        return Checked(found.number, found.scheme, Verdict.DOUBTFUL, "dummy", sentence)
    return found


def masked(number: str, country: str) -> str:
    """For lists and logs: the number of a Swedish sole trader is a person's, so its end is hidden."""
    return f"{number[:-4]}****" if country == "SE" and is_personal(number) else number


def is_personal(number: str) -> bool:
    """Whether a Swedish number belongs to a person: the third digit of an organisation's is at least 2."""
    digits = re.sub(r"\D", "", number)
    return len(digits) == 10 and digits[2] in "01"


def _nl(bare: str, country: str) -> Checked:  # noqa: PLR0911 - one return per kind of number
    if re.fullmatch(r"(NL)?\d{9}B\d{2}", bare):
        return _wrong(bare, country, "vat_number", _("This is a VAT number. The COC number has 8 digits."))
    digits = bare.removeprefix("NL").removeprefix("KVK")
    if re.fullmatch(r"\d{12}", digits):
        return _wrong(digits, country, "branch_number", _("This is a branch number (12 digits). The COC number has 8."))
    if re.fullmatch(r"\d{9}", digits):
        return _wrong(digits, country, "rsin", _("This looks like an RSIN (9 digits). The COC number has 8."))
    if re.fullmatch(r"\d{7}", digits):
        sentence = _("A COC number has 8 digits. A zero was put in front; please check.")
        return Checked(f"0{digits}", SCHEMES["NL"], Verdict.DOUBTFUL, "zero_added", sentence)
    if not re.fullmatch(r"\d{8}", digits) or digits == "00000000":
        return _wrong(bare, country, "format", _("A COC number has 8 digits."))
    total = sum(int(digit) * weight for digit, weight in zip(digits, range(8, 0, -1), strict=True))
    if int(digits) >= CHECKED_FROM and total % 11:
        return Checked(
            digits, SCHEMES["NL"], Verdict.DOUBTFUL, "looks_mistyped", _("This number looks mistyped. Please check.")
        )
    return Checked(digits, SCHEMES["NL"], Verdict.VALID)


def _no(bare: str, country: str) -> Checked:
    return _by(no_orgnr.validate, bare.removeprefix("NO").removesuffix("MVA"), country, 9)


def _se(bare: str, country: str) -> Checked:
    digits = bare.removeprefix("SE")
    if len(digits) == 12:
        digits = digits[:10] if bare.startswith("SE") and digits.endswith("01") else digits[2:]
    found = _by(se_orgnr.validate, digits, country, 10)
    if found.verdict is Verdict.VALID:
        shown = f"{found.number[:6]}-{found.number[6:]}"
        return Checked(shown, found.scheme, Verdict.VALID, "personal" if is_personal(digits) else "")
    return found


def _dk(bare: str, country: str) -> Checked:
    return _by(cvr.validate, bare.removeprefix("DK").removeprefix("CVR"), country, 8)


def _fi(bare: str, country: str) -> Checked:
    digits = bare.removeprefix("FI")
    found = _by(ytunnus.validate, digits.zfill(8), country, 8)
    return Checked(f"{found.number[:7]}-{found.number[7:]}", found.scheme, found.verdict, found.note, found.sentence)


def _be(bare: str, country: str) -> Checked:
    return _by(be_vat.validate, bare.removeprefix("BE").zfill(10), country, 10)


def _fr(bare: str, country: str) -> Checked:
    digits = bare.removeprefix("FR")
    return _by(siren.validate, digits[:9] if len(digits) == 14 else digits, country, 9)


def _gb(bare: str, country: str) -> Checked:
    number = bare.zfill(8) if bare.isdigit() else bare
    if re.fullmatch(r"(\d{2}|[A-Z]{2}|R0)\d{6}", number):
        return Checked(number, "", Verdict.VALID)
    return _wrong(bare, country, "format", _("A company number has 8 digits, or two letters and 6 digits."))


def _any_country(bare: str, country: str) -> Checked:
    sentence = _("Koppel cannot check numbers of this country.")
    return Checked(bare[:40], SCHEMES.get(country, ""), Verdict.DOUBTFUL, "not_checkable", sentence)


def _by(validate: Callable[[str], str], digits: str, country: str, length: int) -> Checked:
    scheme = SCHEMES.get(country, "")
    try:
        return Checked(validate(digits), scheme, Verdict.VALID)
    except (exceptions.InvalidChecksum, exceptions.InvalidComponent):
        sentence = _("The check digit does not fit: this number looks mistyped. Please check.")
        return Checked(digits, scheme, Verdict.DOUBTFUL, "looks_mistyped", sentence)
    except exceptions.ValidationError:
        return _wrong(digits, country, "format", _("This number must have %(length)s digits.") % {"length": length})


def _wrong(number: str, country: str, note: str, sentence: str | Promise) -> Checked:
    return Checked(number, SCHEMES.get(country, ""), Verdict.INVALID, note, sentence)


_CHECKS: dict[str, Callable[[str, str], Checked]] = {
    "NL": _nl, "NO": _no, "SE": _se, "DK": _dk, "FI": _fi, "BE": _be, "FR": _fr, "GB": _gb,
}  # fmt: skip
