"""The format, version and encoding of a file, from its bytes. What it says about itself is only compared."""

import re
from dataclasses import dataclass
from pathlib import Path

from ledger_formats.encoding import decode_as, detect_encoding, unicode_start
from ledger_formats.errors import LedgerFileRefused, RefusalCode
from ledger_formats.limits import DEFAULT, Limits
from ledger_formats.records import Format
from ledger_formats.sources import HEAD_BYTES, Source, source_of
from ledger_formats.text_scan import TextScan, scan
from ledger_formats.zip_directory import document_kind, is_zip

OLE_START = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
"""Of files that Office wrote before 2007."""
_DECLARED = re.compile(r"""<\?xml[^>]*?encoding\s*=\s*["']([\w.:-]{1,40})["']""")
_PROLOG = re.compile(r"(?:\s+|<\?.*?\?>|<!--.*?-->)*", re.DOTALL)
_ROOT = re.compile(r"<(?:([\w.-]+):)?([A-Za-z_][\w.-]*)([^>]*)")
_TAG = re.compile(r"<(?:[\w.-]+:)?([A-Za-z_][\w.-]*)")
_NAMESPACE = re.compile(r"""xmlns(?::([\w.-]+))?\s*=\s*["']([^"']*)["']""")
_SIE_LABEL = re.compile(r"^[ \t\0]*#([A-Za-z]+)", re.MULTILINE)
_BCPP = "http://www.odb.belastingdienst.nl/Belastingdienst/BCPP"
XAF_NAMESPACES = {
    "http://www.auditfiles.nl/XAF/3.2": "3.2",
    f"{_BCPP}/1.0/structures/XmlAuditfileFinancieel3.2.1": "3.2.1",
    f"{_BCPP}/1.1/structures/XmlauditfileXAF_4.0": "4.0",
}
XAF_4_TAGS = frozenset({"Commercenr", "RGSVersion", "RGScode", "clBalDesc", "clBalTp"})
XAF_3_TAGS = frozenset(
    {"companyIdent", "leadCode", "leadReference", "basics", "taxonomy", "sourceID", "costID"}
)
SAFT_NAMESPACE = "urn:StandardAuditFile-Taxation-Financial:NO"
SAFT_130_TAGS = frozenset(
    {"GroupingCategory", "GroupingCode", "BalanceAccount", "DebitTaxAmount", "CreditTaxAmount", "VoucherType"}
)
SAFT_20_TAGS = frozenset({"Products", "PhysicalStock", "Owners", "Assets", "UOMTable", "MovementTypeTable"})
SIE5_NAMESPACE = "http://www.sie.se/sie5"
NAMED_FORMATS = (
    (re.compile(r'\A"?(EXTF|DTVF)"?;'), "a DATEV file"),
    (re.compile(r"\A\"?JournalCode\"?[\t|;]", re.IGNORECASE), "a French FEC"),
    (re.compile(r"\A%PDF"), "a PDF"),
    (re.compile(r"\A\s*[\[{]"), "JSON"),
)
COUNTRIES = {"DK": "Denmark", "PT": "Portugal", "PL": "Poland", "RO": "Romania", "LT": "Lithuania"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Detection:
    """`encoding` is Python's name of what the bytes are; `stated_*` is what the file says, '' for nothing."""

    format: Format
    version: str
    encoding: str
    stated_encoding: str = ""
    stated_version: str = ""
    namespace: str = ""
    is_namespace_known: bool = True
    control_characters: int = 0


def detect(file: str | Path | bytes | Source, name: str = "", limits: Limits = DEFAULT) -> Detection:
    """Return what a file is. Raises `LedgerFileRefused` for what is no ledger file, and `OSError`.

    A ZIP file is refused here: `ledger_formats.archives` reads what it holds.
    """
    source = source_of(file, name)
    source.check_size(limits.file_bytes_max)
    head = source.head()
    if not head.strip(b"\0\t\r\n \x1a"):
        raise LedgerFileRefused(RefusalCode.EMPTY, f"{source.name} is empty.")
    text = decode_as(head, unicode_start(head) or "latin-1").lstrip("ï»¿\0 \t\r\n")
    if text.startswith("<"):
        return _detect_xml(source, head, limits)
    if _looks_like_sie(text):
        return _detect_sie(source, limits)
    kind = _kind_of(source, head, text, limits)
    raise LedgerFileRefused(RefusalCode.NOT_A_LEDGER_FILE, f"{source.name} is {kind}.")


def is_archive(source: Source, limits: Limits = DEFAULT) -> bool:
    """Return whether a file is a ZIP file, and no workbook, document or program, which are ZIP files too."""
    return is_zip(source) and not document_kind(source, limits)


def _kind_of(source: Source, head: bytes, text: str, limits: Limits) -> str:
    """Return what a file is instead of a ledger file, for a sentence."""
    kinds = (kind for pattern, kind in NAMED_FORMATS if pattern.search(text))
    kind = next(kinds, "")
    if is_zip(source):
        kind = document_kind(source, limits)
        if not kind:
            return "a ZIP file"
    elif head.startswith(OLE_START):
        kind = "an Excel workbook or Word document"
    return f"{kind}, which is not read" if kind else "no ledger file: it is neither SIE nor XAF nor SAF-T"


def _looks_like_sie(text: str) -> bool:
    labels = {match[1].upper() for match in _SIE_LABEL.finditer(text)}
    return "SIETYP" in labels or {"FLAGGA", "KONTO"} <= labels or {"VER", "TRANS"} <= labels


def _detect_sie(source: Source, limits: Limits) -> Detection:
    raw = source.read(limits.text_bytes_max)
    kind = re.search(rb"^[ \t]*#SIETYP[ \t]+\"?(\w{1,2})", raw, re.MULTILINE | re.IGNORECASE)
    stated = re.search(rb"^[ \t]*#FORMAT[ \t]+\"?([\w-]{1,20})", raw, re.MULTILINE | re.IGNORECASE)
    return Detection(
        format=Format.SIE,
        version=kind[1].decode() if kind else "4",
        encoding=detect_encoding(raw),
        stated_encoding=stated[1].decode() if stated else "",
    )


def _detect_xml(source: Source, head: bytes, limits: Limits) -> Detection:
    text_scan = scan(source)
    text = decode_as(head, text_scan.encoding)
    start = _PROLOG.match(text)
    position = start.end() if start else 0
    if text[position : position + 9].upper() == "<!DOCTYPE":
        _refuse_document_type(source.name, text[position : position + 200])
    root = _ROOT.match(text, position)
    if root is None:
        raise LedgerFileRefused(
            RefusalCode.NOT_A_LEDGER_FILE, f"{source.name} is no ledger file: it has no XML element."
        )
    return _detect_root(source.name, root, text, text_scan)


def _refuse_document_type(name: str, text: str) -> None:
    if re.match(r"<!DOCTYPE\s+html", text, re.IGNORECASE):
        raise LedgerFileRefused(RefusalCode.NOT_A_LEDGER_FILE, f"{name} is no ledger file: it is a web page.")
    raise LedgerFileRefused(
        RefusalCode.DOCUMENT_TYPE,
        f"{name} declares a document type (<!DOCTYPE>): ledger files have none, and it can hide entities.",
    )


def _detect_root(name: str, root: re.Match[str], text: str, text_scan: TextScan) -> Detection:
    prefix, local = root[1] or "", root[2]
    spaces = {match[1] or "": match[2].strip() for match in _NAMESPACE.finditer(root[3])}
    namespace = spaces.get(prefix, "")
    declared = _DECLARED.search(text[:1000])
    stated = declared[1] if declared else ""
    if local.lower() == "html":
        raise LedgerFileRefused(RefusalCode.NOT_A_LEDGER_FILE, f"{name} is no ledger file: it is a web page.")
    tags = {match[1] for match in _TAG.finditer(text, 0, HEAD_BYTES)}
    for detect_kind in (_xaf, _saft, _sie5):
        if kind := detect_kind(name, local, namespace, tags, text):
            kind_format, version, stated_version, is_known = kind
            return Detection(
                format=kind_format,
                version=version,
                encoding=text_scan.encoding,
                stated_encoding=stated,
                stated_version=stated_version,
                namespace=namespace,
                is_namespace_known=is_known,
                control_characters=text_scan.control_characters,
            )
    raise LedgerFileRefused(
        RefusalCode.NOT_A_LEDGER_FILE, f"{name} is no ledger file: it is XML that begins with <{local[:40]}>."
    )


Kind = tuple[Format, str, str, bool]
"""Format, version by structure, version by its claim, and whether the namespace is a published one."""


def _xaf(name: str, local: str, namespace: str, tags: set[str], text: str) -> Kind | None:
    if local.lower() != "auditfile" or "MasterFiles" in tags or SAFT_NAMESPACE in namespace:
        return None
    older = re.search(r"CLAIR2?[\d.]*|XAF/3\.[01]|Financieel3\.[01]\b", f"{namespace} {text[:4000]}")
    if older and not tags & XAF_4_TAGS:
        raise LedgerFileRefused(
            RefusalCode.VERSION_UNSUPPORTED,
            f"{name} is an older Auditfile ({older[0]}): 3.2, 3.2.1 and 4.0 are read.",
        )
    if not tags & {"header", "company", "generalLedger", "transactions"}:
        return None
    stated = XAF_NAMESPACES.get(namespace, "")
    is_4 = bool(tags & XAF_4_TAGS) if tags & (XAF_4_TAGS | XAF_3_TAGS) else stated == "4.0"
    version = stated if stated and (stated == "4.0") == is_4 else "4.0" if is_4 else "3.2"
    return Format.XAF, version, stated, bool(stated)


def _saft(name: str, local: str, namespace: str, tags: set[str], text: str) -> Kind | None:
    if local != "AuditFile" and "MasterFiles" not in tags:
        return None
    country = next(iter(re.findall(r"AuditFileCountry>\s*(\w\w)", text[:10_000])), "")
    named = re.search(r":(NO|DK|PT|LU|AT|LT|RO|PL)(?:_|\b)|:PT_|/(pt|PT)/", namespace)
    code = (named[1] or "PT") if named else country
    if code != "NO":
        raise LedgerFileRefused(
            RefusalCode.VERSION_UNSUPPORTED,
            f"{name} is SAF-T of {COUNTRIES.get(code, code or 'no known country')}: Norway's is read.",
        )
    if tags & SAFT_20_TAGS:
        raise LedgerFileRefused(
            RefusalCode.VERSION_UNSUPPORTED,
            f"{name} is a draft of SAF-T 2.0, planned for 2027: 1.10 and 1.30 are read.",
        )
    stated = next(iter(re.findall(r"AuditFileVersion>\s*([\w.]{1,20})", text[:10_000])), "")
    version = "1.30" if tags & SAFT_130_TAGS else "1.10"
    return Format.SAFT, version, stated, namespace == SAFT_NAMESPACE


def _sie5(name: str, local: str, namespace: str, tags: set[str], text: str) -> Kind | None:
    del name, text
    if local not in ("Sie", "SieEntry") or "FileInfo" not in tags:
        return None
    return Format.SIE5, "5", "", namespace == SIE5_NAMESPACE
