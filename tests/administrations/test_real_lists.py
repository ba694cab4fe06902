"""Lists as spreadsheets and other programs write them: each line is taken exactly, or refused by its number
with a sentence; what no line names is not changed.
"""

import csv
import io
import zipfile
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from koppel.administrations.bulk.csv_import import ListedValues, LookupTables, parse_changes
from koppel.company_registers.numbers.list_import import MatchStatus, TableRow, match_lines, read_list
from koppel.kit.errors import KoppelError
from koppel.kit.tabular.reader import decode
from koppel.organisations.roles import Actor, Role

ADMIN = Actor(organisation_id=1, membership_id=1, user_id=1, name="Ada", role=Role.ADMINISTRATOR)
NAMES = ("Bakkerij De Haan B.V.", "Café Één", "Fjordheim AS", "Køleteknik A/S", "Dubbel B.V.", "Dubbel B.V.")
CODES = ("100", "0012", "12", "1-2", "d1", "d2")
TABLES = LookupTables(
    administrations=[
        ListedValues(
            id=index,
            name=name,
            number=f"6959908{index}",
            client_number=f"K{index}",
            code=code,
            division="Noord",
            template="",
            sector="",
        )
        for index, (name, code) in enumerate(zip(NAMES, CODES, strict=True), start=1)
    ],
    division_ids={"noord": 1, "vast": 2},
    template_ids={"standaard": 3},
    member_ids={"anna@a.example": 4, "bo@a.example": 5},
)
PLAIN = "naam;klantnummer\nCafé Één;0007\nKøleteknik A/S;0008\n"
TAKEN = {2: {"client_number": "0007"}, 4: {"client_number": "0008"}}
Problems = Sequence[tuple[int, str]]


def archive(*names: str) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as packed:
        for name in names:
            packed.writestr(name, b"0" * 2_000_000)
    return file.getvalue()


ENCODED = [
    *(
        PLAIN.encode(encoding)
        for encoding in ("utf-8", "utf-8-sig", "cp1252", "latin-1", "cp850", "mac_roman")
    ),
    *(PLAIN.encode(encoding) for encoding in ("utf-16", "utf-16-le", "utf-16-be", "utf-32")),
    *(PLAIN.replace(";", delimiter).encode() for delimiter in ",\t|"),
    *(PLAIN.replace("\n", end).encode() for end in ("\r\n", "\r", "\n\n", ";;\n", ";\r\n;;;\r\n")),
    *(f"{line}\r\n{PLAIN}".encode() for line in ("sep=;", '"sep=;"', "SEP=;")),
    *(PLAIN.replace("naam", heading).encode() for heading in ("NAAM", "Name:", " Bedrijfsnaam ", "Company")),
    *(
        PLAIN.replace("klantnummer", heading).encode()
        for heading in ("Client number", "KLANT-NR.", "Client no")
    ),
    PLAIN.replace("Één", "E\u0301e\u0301n").encode(),
    PLAIN.replace("Één", "Één\u200b").replace("0007", "\u200e0007\u00a0").encode(),
    PLAIN.replace("Café Één", '"Café\nÉén"').replace("0007", '"0007"').encode(),
    PLAIN.replace("0007", '="0007"').replace("0008", '"=""0008"""').encode(),
    PLAIN.replace("0007", "0007;").replace("0008", "0008;;;").encode(),
    (PLAIN + "Café Één;0007\n").encode(),
    (PLAIN + "Fjordheim AS;K3\n" * 3).encode(),
]
"""One list, in the forms in which programs save it."""

LINES: list[tuple[str, Mapping[int, Any], Problems]] = [
    ("code;nummer\n0012;69599084\n12;68750110\n", {2: {"number": "69599084"}, 3: {"number": "68750110"}}, []),
    ("code;nummer\n100;KvK 58.061.568\n", {1: {"number": "KvK 58.061.568"}}, []),
    ("code;nummer\n100;6,8750110E+07\n", {1: {"number": "68750110"}}, []),
    ("code;nummer\n100;6,87501E+07\n", {}, [(2, "lost digits")]),
    ("code;nummer\n100;01-02-2026\n", {}, [(2, "is a date")]),
    ("code;nummer\n100;2026-02-01 00:00:00\n", {}, [(2, "is a date")]),
    ("code;klantnummer\n100;2-jan\n", {}, [(2, "is a date")]),
    ("code;klantnummer\n100;feb-90\n", {}, [(2, "is a date")]),
    (
        "code;klantnummer\n100;#N/B\n12;#VERW!\n0012;#####\n",
        {},
        [(2, "error of"), (3, "error of"), (4, "error")],
    ),
    ("code;klantnummer\n100;1,23457E+11\n", {}, [(2, "lost digits")]),
    ('code;klantnummer\n100;"10\n23"\n', {}, [(2, "in one line")]),
    ("code;klantnummer\n100;10\ufffd3\n", {}, [(2, "cannot be read")]),
    ("code;klantnummer\n2-jan;77\n", {}, [(2, "is a date")]),
    ("code;klantnummer\n1-2;77\n", {4: {"client_number": "77"}}, []),
    ("code;klantnummer\n00100;77\n", {}, [(2, "No administration")]),
    ("code;klantnummer\n100.0;77\n", {1: {"client_number": "77"}}, []),
    (
        "naam;klantnummer\nTotaal;2\n;24\nDubbel B.V.;9\n",
        {},
        [(2, "No adm"), (3, "No adm"), (4, "More than one")],
    ),
    ("naam;code;klantnummer\nDubbel B.V.;d2;9\n", {6: {"client_number": "9"}}, []),
    ("naam;code;klantnummer\nCafé Één;100;9\n", {}, [(2, "belongs to another")]),
    (
        "code;klantnummer\n100;1\n12;7\n100;2\n",
        {3: {"client_number": "7"}},
        [(2, "2, 4 differ"), (4, "2, 4 differ")],
    ),
    ("code;klantnummer\n100;1\nKlant;3\n100;1\n", {1: {"client_number": "1"}}, [(3, "No administration")]),
    (
        "code;afdeling\n100;Väst\n12;-\n0012;Zuid\n",
        {1: {"division": 2}, 3: {"division": None}},
        [(4, "“Zuid”")],
    ),
    (
        "code;sector\n100;G – Handel\n12;Bouwen\n0012;I weet niet\n",
        {1: {"sector": "G"}, 2: {"sector": "I"}},
        [(3, "“Bouwen”")],
    ),
    ("code;sector\n100;A – Onderwijs\n", {}, [(2, "not a sector")]),
    ("code;reden;sector\n100;Onbekend;G\n", {}, [(2, "“Onbekend” is not a reason")]),
    (
        "code;toevoegen\n100;anna@a.example, BO@a.example\n12;x@b.example\n",
        {1: {"add": [4, 5]}},
        [(3, "Not a member")],
    ),
    ("code;toevoegen;verwijderen\n100;anna@a.example;anna@a.example\n", {}, [(2, "same user")]),
    ("code;klantnummer;\n100;1;x\n", {}, [(2, "below no heading")]),
    (
        "id;klantnummer\n1;9\ntrue;9\n1e0;9\n-1;9\n",
        {1: {"client_number": "9"}},
        [(3, "No"), (4, "No"), (5, "No")],
    ),
    ("nummer;klantnummer\nNL 6959.9081;9\n", {1: {"client_number": "9"}}, []),
]
REFUSED: list[tuple[bytes, str]] = [
    (b"", "no lines"),
    (b"naam;klantnummer\n", "no lines"),
    ("naam;telefoon\nCafé Één;1\n".encode(), "Unknown headings: telefoon"),
    (b"klantnummer;klantnr\nK1;2\n", "same meaning"),
    ("afdeling;naam\nNoord;Café Één\n".encode(), "first column"),
    ("naam;code\nCafé Één;0012\n".encode(), "other columns"),
    (b'naam;klantnummer\nx;"1\n', "Line 2 could not be read"),
    (b"naam;klantnummer\n" + b"x;1\n" * 20_001, "more than 20000 lines"),
    (b"n" * 5_300_000, "too large"),
    (archive("[Content_Types].xml", "xl/workbook.xml"), "a workbook"),
    (archive("mimetype", "content.xml"), "no text"),
    (archive("data.csv"), "no text"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(500), "a workbook"),
    (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj", "a PDF"),
    (b"\xef\xbb\xbf<html><table><tr><td>naam", "a web page"),
    (b"\x89PNG\r\n\x1a\n" + bytes(50), "no text"),
    (bytes(range(256)) * 4, "no text"),
]


def parse_content(content: bytes) -> tuple[dict[int, Any], list[tuple[int, str]]]:
    changes = parse_changes(ADMIN, decode(content), TABLES)
    return changes.values_by_id, [(number, sentence) for number, _text, sentence in changes.problems]


@pytest.mark.parametrize("content", ENCODED)
def test_one_list_in_any_form_sets_the_same(content: bytes) -> None:
    assert parse_content(content) == (TAKEN | ({3: {}} if b"Fjordheim" in content else {}), [])


@pytest.mark.parametrize(("text", "values", "problems"), LINES)
def test_a_line_is_taken_exactly_or_refused(text: str, values: Mapping[int, Any], problems: Problems) -> None:
    for content in (text.encode(), text.encode("utf-16")):
        values_by_id, sentences = parse_content(content)
        assert values_by_id == values
        assert [number for number, _sentence in sentences] == [number for number, _words in problems]
        assert all(words in sentence for (_n, sentence), (_m, words) in zip(sentences, problems, strict=True))


@pytest.mark.parametrize(("content", "words"), REFUSED)
def test_what_is_no_list_is_refused_whole(content: bytes, words: str) -> None:
    with pytest.raises(KoppelError, match=words):
        parse_content(content)


COMPANIES = [
    TableRow(id=index, name=name, codes=(code,))
    for index, (name, code) in enumerate(zip(NAMES, CODES, strict=True), 1)
]
IDENTITIES = "naam;kvk\nCafé Één;69599084\nKøleteknik A/S;68750110\n"
IDENTIFIED = [(2, "69599084"), (4, "68750110")]


def filled(content: bytes) -> list[tuple[int | None, str]]:
    """The row and the number of each line that fills one in, and the status of the others."""
    matched = match_lines(read_list(decode(content)).lines, COMPANIES)
    return [
        (match.id, match.line.number if match.status is MatchStatus.MATCHED else match.status.value)
        for match in matched
        if match.status is not MatchStatus.EMPTY
    ]


@pytest.mark.parametrize(
    "content",
    [
        content.replace(b"0007", b"69599084")
        .replace(b"0008", b"68750110")
        .replace(b"klantnummer", b"KvK-nummer")
        for content in ENCODED
        if b"\0" not in content and not any(word in content for word in (b"Client", b"KLANT", b"Fjordheim"))
    ],
)
def test_identities_in_any_form_fill_in_the_same(content: bytes) -> None:
    assert [
        match for match in filled(content) if match[1] not in ("repeated", "contradicted", "damaged")
    ] == IDENTIFIED


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("naam;kvk\nCafé Één;69599084\n;68750110\n", [(2, "69599084"), (None, "unknown")]),
        ("naam;kvk\nCafé Één;01-02-2026\n", [(None, "damaged")]),
        ("naam;kvk\nCafé Één;n.v.t.\n", [(None, "damaged")]),
        ("naam;kvk\nCafé Één;#N/A\nTotaal;2\n", [(None, "damaged"), (None, "unknown")]),
        ("naam;kvk\nCafé Één;69599084\ncafe één;69 599 084\n", [(2, "69599084"), (None, "unknown")]),
        ("naam;kvk\nCafé Één;69599084\nCAFÉ ÉÉN;69 599 084\n", [(2, "69599084"), (None, "repeated")]),
        ("naam;kvk\nCafé Één;69599084\nCafé Één;68750110\n", [(None, "contradicted")] * 2),
        ("naam;code;kvk\nCafé Één;100;69599084\n", [(None, "two_companies")]),
        ("naam;code;kvk\nHeel iets anders;100;69599084\n", [(None, "two_companies")]),
        ("naam;code;kvk\nDe Haan Bakkerij;100;69599084\n", [(1, "69599084")]),
        ("naam;code;kvk\nDubbel B.V.;d2;69599084\n", [(6, "69599084")]),
        ("naam;code;kvk\nDubbel B.V.;;69599084\n", [(None, "ambiguous")]),
        (
            "Café Één;01-02-2026;69599084\nFjordheim AS;03-04-2026;68750110\n",
            [(2, "69599084"), (3, "68750110")],
        ),
        (
            "code;kvk\n12;69599084\n1-2;68750110\n2-jan;1\n",
            [(3, "69599084"), (4, "68750110"), (None, "unknown")],
        ),
    ],
)
def test_an_identity_goes_to_the_row_it_names_or_to_none(
    text: str, expected: list[tuple[int | None, str]]
) -> None:
    assert filled(text.encode("utf-8-sig")) == expected


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"naam;telefoon\nx;1\n", "Unknown headings: telefoon"),
        (b"Haan;100234;69599084\nSmit;100235;68750110\n", "More than one column may hold the numbers"),
        (b"naam;kvk\n" + b"x;1\n" * 20_000, "more than 5000 lines"),
        *REFUSED[9:],
    ],
)
def test_what_is_no_list_of_identities_is_refused_whole(content: bytes, words: str) -> None:
    with pytest.raises(KoppelError, match=words):
        filled(content)


def test_columns_that_fill_in_nothing_are_named() -> None:
    file = io.StringIO()
    csv.writer(file).writerows([["Naam", "Plaats", "KvK", ""], ["Café Één", "Assen", "69599084", "x"]])
    assert read_list(file.getvalue()).unread == ("Plaats",)
