"""Labels that people and systems write around a company number: `KvK-nr. 69599084`, `923609016 (org.nr)`."""

import re

LABELS = (
    # The numbers themselves, by country.
    "KVK",
    "COC",
    "KAMER VAN KOOPHANDEL",
    "CHAMBER OF COMMERCE",
    "INSCHRIJF",
    "INSCHRIJVINGS",
    "DOSSIER",
    "HANDELSREGISTER",
    "HANDELSREG",
    "ORG",
    "ORGANISATIONS",
    "ORGANISASJONS",
    "ORGANISATION",
    "FORETAKSREGISTERET",
    "FORETAKS",
    "FÖRETAGS",
    "BOLAGSVERKET",
    "CVR",
    "CVR/SE",
    "Y-TUNNUS",
    "YTUNNUS",
    "LY-TUNNUS",
    "FO",
    "KBO",
    "BCE",
    "RPR",
    "RPM",
    "ONDERNEMINGS",
    "ENTREPRISE",
    "SIREN",
    "SIRET",
    "RCS",
    "R.C.S.",
    "CRN",
    "COMPANY",
    "COMPANIES HOUSE",
    "REGISTRATION",
    "REGISTRATIE",
    "REGISTERED",
    "REGISTER",
    "REGISTRI",
    "REGISTRIKOOD",
    "REG",
    "KRS",
    "NIP",
    "REGON",
    "CRO",
    # Numbers for VAT, which are recognised and named for what they are.
    "VAT",
    "BTW",
    "TVA",
    "MOMS",
    "MVA",
    "UST-ID",
    "USTID",
    "UST-IDNR",
    "RSIN",
    # Words for "number", and for where it is registered.
    "NUMMER",
    "NUMBER",
    "NUMÉRO",
    "NUMERO",
    "NUMER",
    "KOOD",
    "NUM",
    "ENGLAND",
    "WALES",
)
SHORT_LABELS = (r"NO(?=[.:°º#])", r"N[°º]", r"NR(?=\d)", "NR", "ID", "FO", "IN", "AND", "OF")
"""A country's letters may be the beginning of a number (`NO000123` of Companies House), so that what is short
must be followed by a separator.
"""
_LONG = "|".join(sorted(map(re.escape, LABELS), key=len, reverse=True))
_GAP = r"[\s.:;,#=/()\[\]\-–_°º]"
_LABEL = rf"(?:(?:{_LONG})(?={_GAP}|\d|{_LONG}|NR|NO[.:])|(?:{'|'.join(SHORT_LABELS)})(?={_GAP}|\d))"
_ANYWHERE = re.compile(rf"(?<![^\W\d_])(?:{_LONG})(?![^\W\d_])")
_BEFORE = re.compile(rf"{_GAP}*(?:{_LABEL}{_GAP}*)+(?=[A-Z\d])")
_BEHIND = re.compile(rf"(?<=[\dA-Z])(?:{_GAP}+(?:{_LONG}|NR))+{_GAP}*\Z")


def strip_labels(text: str) -> str:
    """Return the text, which is in capitals, without labels before and behind the number."""
    return _BEHIND.sub("", _BEFORE.sub("", text, count=1) if _BEFORE.match(text) else text).strip()


def digits_beside_label(text: str) -> str:
    """Return the digits of a text in capitals that has a label: `KVK UTRECHT 30123456`; else ''."""
    return re.sub(r"\D", "", text) if _ANYWHERE.search(text) else ""
