"""Opens a ledger file of any format."""

from importlib import import_module
from pathlib import Path
from typing import cast

from ledger_formats.detection import Detection, detect
from ledger_formats.errors import LedgerFileRefused, RefusalCode
from ledger_formats.ledger_file import LedgerFile
from ledger_formats.limits import DEFAULT, Limits
from ledger_formats.records import Format
from ledger_formats.sie.ledger import SieLedger
from ledger_formats.sources import Source, source_of

XML_READERS = {
    Format.XAF: ("ledger_formats.xml.xaf", "XafLedger"),
    Format.SAFT: ("ledger_formats.xml.saft", "SaftLedger"),
    Format.SIE5: ("ledger_formats.xml.sie5", "Sie5Ledger"),
}
"""Imported when one is opened: they need lxml."""


def open_ledger(file: str | Path | bytes | Source, name: str = "", limits: Limits = DEFAULT) -> LedgerFile:
    """Open a ledger file: a path, or bytes that sentences call `name`.

    Raises `LedgerFileRefused` with a sentence, and `OSError`. `open_all` opens what a ZIP file holds.
    """
    source = source_of(file, name)
    detection = detect(source, limits=limits)
    if detection.format is Format.SIE:
        return SieLedger(source, detection, limits)
    return _open_xml(source, detection, limits)


def _open_xml(source: Source, detection: Detection, limits: Limits) -> LedgerFile:
    module, name = XML_READERS[detection.format]
    try:
        reader = getattr(import_module(module), name)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != "lxml":
            raise
        raise LedgerFileRefused(
            RefusalCode.PARSER_MISSING,
            f"{source.name} is {detection.format}, which needs lxml: pip install 'ledger-formats[xml]'.",
        ) from None
    return cast("LedgerFile", reader(source, detection, limits))
