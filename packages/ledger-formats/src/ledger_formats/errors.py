"""Refusals: why a file is not read at all."""

from enum import StrEnum


class RefusalCode(StrEnum):
    """The kinds of refusal, for programs. The sentence of the error is for people."""

    EMPTY = "empty"
    NOT_A_LEDGER_FILE = "not_a_ledger_file"
    VERSION_UNSUPPORTED = "version_unsupported"
    NOT_WELL_FORMED = "not_well_formed"
    DOCUMENT_TYPE = "document_type"
    TOO_LARGE = "too_large"
    TOO_MANY_RECORDS = "too_many_records"
    YEAR_INVALID = "year_invalid"
    NO_YEAR = "no_year"
    ARCHIVE_UNSAFE = "archive_unsafe"
    ARCHIVE_UNREADABLE = "archive_unreadable"
    SEVERAL_LEDGERS = "several_ledgers"
    PARSER_MISSING = "parser_missing"


class LedgerFileRefused(Exception):
    """A file is refused as a whole. The text is a sentence that names the file and says why."""

    def __init__(self, code: RefusalCode, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code
