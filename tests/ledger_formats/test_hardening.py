"""Files that attack their reader are refused with a sentence, before they cost time or memory."""

import io
import struct
import time
import zipfile
from pathlib import Path

import pytest

from ledger_formats import LedgerFileRefused, Limits, RefusalCode, open_all, open_ledger, open_only
from tests.ledger_formats.auditfiles import BALANCED, xaf

LAUGHS = '<!DOCTYPE a [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>'
FILE_ENTITY = '<!DOCTYPE a [<!ENTITY a SYSTEM "file:///etc/passwd">]>'
SIE = "#SIETYP 4\n#FNAMN Prov\n#RAR 0 20250101 20251231\n#VER A 1 20250115\n{\n#TRANS 1930 {} 5\n}\n"


def refusal(content: str | bytes, limits: Limits | None = None) -> LedgerFileRefused:
    raw = content.encode() if isinstance(content, str) else content
    with pytest.raises(LedgerFileRefused) as refused:
        open_ledger(raw, "file.xaf", limits or Limits()).check()
    return refused.value


def archive(*members: tuple[str | zipfile.ZipInfo, bytes], packed: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", packed) as file:
        for name, content in members:
            file.writestr(name, content)
    return buffer.getvalue()


def archive_refusal(content: bytes, limits: Limits | None = None) -> LedgerFileRefused:
    with pytest.raises(LedgerFileRefused) as refused:
        list(open_all(content, "files.zip", limits or Limits()))
    return refused.value


@pytest.mark.parametrize("document_type", [LAUGHS, FILE_ENTITY])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_a_document_type_is_refused(document_type: str, encoding: str) -> None:
    text = xaf(BALANCED, company="&b;").replace("<auditfile", f"{document_type}<auditfile", 1)
    refused = refusal(text.encode(encoding))
    assert refused.code is RefusalCode.DOCUMENT_TYPE
    assert str(refused).startswith("file.xaf declares a document type (<!DOCTYPE>)")


def test_an_entity_that_is_not_declared_is_refused() -> None:
    assert refusal(xaf(BALANCED, company="&secret;")).code is RefusalCode.NOT_WELL_FORMED


def test_a_million_accounts_are_refused() -> None:
    assert Limits().accounts_max < 10**6
    few = Limits(accounts_max=1000)
    declared = "".join(f"<ledgerAccount><accID>{code}</accID></ledgerAccount>" for code in range(1001))
    refused = refusal(xaf(BALANCED, accounts=f"<generalLedger>{declared}</generalLedger>"), few)
    assert (refused.code, str(refused)) == (
        RefusalCode.TOO_MANY_RECORDS,
        "file.xaf has more than 1,000 accounts.",
    )
    used = [(str(code), "1", "D") for code in range(5001)]
    assert refusal(xaf(used), few).code is RefusalCode.TOO_MANY_RECORDS
    text = SIE + "".join(f"#KONTO {code} x\n" for code in range(1001))
    assert refusal(text, few).code is RefusalCode.TOO_MANY_RECORDS


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (
            xaf(BALANCED, accounts="<vatCodes>" + "<vatCode><vatID>1</vatID></vatCode>" * 3 + "</vatCodes>"),
            "VAT codes",
        ),
        (
            xaf(
                BALANCED,
                accounts="<periods>" + "<period><periodNumber>1</periodNumber></period>" * 3 + "</periods>",
            ),
            "periods",
        ),
        (xaf(BALANCED).replace("</journal>", "</journal><journal/><journal/>"), "journals"),
        (SIE + "#DIM 1 a\n#DIM 2 b\n#DIM 3 c\n", "dimensions"),
    ],
)
def test_too_many_codes_of_any_kind_are_refused(content: str, what: str) -> None:
    assert str(refusal(content, Limits(codes_max=2))) == f"file.xaf has more than 2 {what}."


def test_too_many_entries_are_refused_also_where_only_they_are_read() -> None:
    for content in (
        xaf(BALANCED, BALANCED, BALANCED),
        SIE + SIE.replace("A 1", "A 2") + SIE.replace("A 1", "A 3"),
    ):
        with pytest.raises(LedgerFileRefused) as refused:
            list(open_ledger(content.encode(), "file.xaf", Limits(entries_max=2)).entries())
        assert str(refused.value) == "file.xaf has more than 2 entries."


def test_entries_that_all_share_a_number_take_no_quadratic_time() -> None:
    began = time.process_time()
    keys = [entry.key for entry in open_ledger(xaf(*[()] * 15_000, number="7").encode()).entries()]
    assert (len(set(keys)), keys[-1]) == (15_000, "M/7-15000")
    assert time.process_time() - began < 15


def test_an_entry_without_end_is_refused() -> None:
    refused = refusal(xaf([("1000", "1", "D")] * 101), Limits(entry_lines_max=100))
    assert str(refused) == "file.xaf has an entry of more than 100 lines."


@pytest.mark.parametrize(
    "filler", ["<x/>" * 400_000, "<x>" * 300 + "</x>" * 300, f"<x>{'a' * 11_000_000}</x>"]
)
def test_what_no_record_ends_is_not_held_in_memory(filler: str) -> None:
    refused = refusal(xaf(BALANCED, opening=filler), Limits(record_bytes_max=1024 * 1024))
    assert refused.code in (RefusalCode.TOO_LARGE, RefusalCode.NOT_WELL_FORMED)


def test_a_file_beyond_the_limit_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "large.se"
    path.write_text(SIE)
    with pytest.raises(LedgerFileRefused, match=r"^large\.se is larger than 0 MB\.$"):
        open_ledger(path, limits=Limits(file_bytes_max=10))


@pytest.mark.parametrize("name", ["../outside.se", "/etc/outside.se", "a/../../b.se", "..\\b.se", "C:\\b.se"])
def test_a_path_that_leaves_the_archive_is_refused(name: str) -> None:
    refused = archive_refusal(archive(("good.se", SIE.encode()), (name, SIE.encode())))
    assert refused.code is RefusalCode.ARCHIVE_UNSAFE
    assert "is a path that leaves the archive" in str(refused)


def test_a_zip_bomb_is_refused_before_it_is_unpacked() -> None:
    bomb = archive(("bomb.se", b"\0" * 40_000_000))
    refused = archive_refusal(bomb)
    assert refused.code is RefusalCode.ARCHIVE_UNSAFE
    assert "times its size, as ZIP bombs do" in str(refused)
    assert archive_refusal(bomb, Limits(archive_bytes_max=1000)).code is RefusalCode.TOO_LARGE


def test_files_that_overlap_are_refused() -> None:
    content = bytearray(archive(("a.se", SIE.encode()), ("b.se", SIE.encode()), packed=zipfile.ZIP_STORED))
    second = content.rfind(b"PK\x01\x02")
    struct.pack_into("<I", content, second + 42, 0)
    refused = archive_refusal(bytes(content))
    assert refused.code is RefusalCode.ARCHIVE_UNSAFE
    assert "overlap" in str(refused)


def test_links_passwords_and_too_many_files_are_refused() -> None:
    link = zipfile.ZipInfo("link.se")
    link.external_attr = 0o120777 << 16
    assert "is a symbolic link" in str(archive_refusal(archive((link, b"/etc/passwd"))))
    locked = bytearray(archive(("a.se", SIE.encode())))
    locked[locked.rfind(b"PK\x01\x02") + 8] |= 1
    assert "is encrypted" in str(archive_refusal(bytes(locked)))
    many = archive(*((f"{number}.se", b"x") for number in range(11)))
    assert archive_refusal(many, Limits(archive_files_max=10)).code is RefusalCode.TOO_LARGE
    cut = archive(("a.se", SIE.encode()))[:-30]
    assert archive_refusal(cut).code is RefusalCode.ARCHIVE_UNREADABLE


def test_an_archive_counts_together_with_those_in_it() -> None:
    inner = [archive((f"{name}.se", SIE.encode() + b"\n" * 1000)) for name in "ab"]
    outer = archive(*((f"{number}.zip", content) for number, content in enumerate(inner)))
    sizes, unpacked = sum(map(len, inner)), len(SIE) + 1000
    for limits, most in (
        (Limits(archive_bytes_max=sizes + 2 * unpacked - 1), "0 MB, unpacked"),
        (Limits(archive_files_max=3), "3 files"),
    ):
        members = {member.name: member.refusal for member in open_all(outer, "o.zip", limits)}
        assert (members["o.zip/0.zip/a.se"], list(members)[1:]) == (None, ["o.zip/1.zip"])
        assert str(members["o.zip/1.zip"]) == f"With the files before it o.zip/1.zip holds more than {most}."
    names = [
        member.name for member in open_all(outer, "o.zip", Limits(archive_bytes_max=sizes + 2 * unpacked))
    ]
    assert names == ["o.zip/0.zip/a.se", "o.zip/1.zip/b.se"]


@pytest.mark.parametrize(
    ("names", "kind"),
    [
        (["[Content_Types].xml", "xl/workbook.xml"], "an Excel workbook"),
        (["word/document.xml", "[Content_Types].xml"], "a Word document"),
        (["mimetype", "content.xml", "META-INF/manifest.xml"], "an OpenDocument workbook or text"),
        (["META-INF/MANIFEST.MF", "a.class"], "a program (JAR)"),
    ],
)
def test_a_workbook_or_document_is_refused_as_what_it_is(names: list[str], kind: str) -> None:
    content = archive(*((name, SIE.encode()) for name in names))
    sentence = f"2025.bin is {kind}, which is not read."
    for open_file in (open_ledger, open_only):
        with pytest.raises(LedgerFileRefused) as refused:
            open_file(content, "2025.bin")
        assert (refused.value.code, str(refused.value)) == (RefusalCode.NOT_A_LEDGER_FILE, sentence)
    assert [str(member.refusal) for member in open_all(content, "2025.bin")] == [sentence]
    nested = list(open_all(archive(("2025.xlsx", content), ("a.se", SIE.encode())), "o.zip"))
    assert [str(member.refusal) for member in nested] == [
        f"o.zip/2025.xlsx is {kind}, which is not read.",
        "None",
    ]


def test_an_archive_of_ledgers_in_a_folder_called_xl_is_an_archive() -> None:
    assert [one.name for one in open_all(archive(("xl/a.se", SIE.encode())), "o.zip")] == ["o.zip/xl/a.se"]


def test_a_workbook_of_before_2007_is_refused_as_what_it_is() -> None:
    refused = refusal(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600))
    assert str(refused) == "file.xaf is an Excel workbook or Word document, which is not read."


def test_each_file_of_an_archive_is_opened_or_refused_by_name() -> None:
    inner = archive(("inner.xaf", xaf(BALANCED).encode()))
    deeper = archive(("deep.zip", archive(("deepest.se", SIE.encode()))))
    content = archive(
        ("a.se", SIE.encode()),
        ("__MACOSX/a.se", b"x"),
        ("page.txt", b"hello"),
        ("b.zip", inner),
        ("c.zip", deeper),
    )
    members = [
        (member.name, member.ledger.check().counts["Line"] if member.ledger else str(member.refusal))
        for member in open_all(content, "files.zip")
    ]
    assert members == [
        ("files.zip/a.se", 1),
        ("files.zip/page.txt", "files.zip/page.txt is no ledger file: it is neither SIE nor XAF nor SAF-T."),
        ("files.zip/b.zip/inner.xaf", 2),
        (
            "files.zip/c.zip/deep.zip",
            "files.zip/c.zip/deep.zip is a ZIP file in a ZIP file in a ZIP file, which is not read.",
        ),
    ]


def test_the_only_ledger_of_an_archive_opens_as_if_it_were_the_file(tmp_path: Path) -> None:
    path = tmp_path / "one.zip"
    path.write_bytes(archive(("read me.txt", b"hello"), ("2025.xaf", xaf(BALANCED).encode())))
    with open_only(path) as ledger:
        assert ledger.check().counts["Line"] == 2
        assert ledger.check().counts["Line"] == 2
    with pytest.raises(LedgerFileRefused, match="several ledger files"):
        open_only(archive(("a.se", SIE.encode()), ("b.se", SIE.encode())))
    with pytest.raises(LedgerFileRefused, match="is a ZIP file"):
        open_ledger(path)
