"""Sectors: from the activity code with its revision, or chosen by typing a few letters in either language."""

import csv
from datetime import date
from pathlib import Path

import pytest

from koppel.company_registers.numbers.reasons import REASONS, resolve_reason
from koppel.company_registers.sectors.activities import (
    NATIONAL,
    REVISIONS,
    Section,
    national_scheme,
    sbi_scheme,
    section_in_own_revision,
    sector_of,
)
from koppel.company_registers.sectors.sections import EXAMPLES, SECTIONS, divisions, resolve_sector, search
from tests.fixtures.environment import KOPPEL


@pytest.mark.parametrize(
    ("code", "scheme", "own_section", "today"),
    [
        ("6201", "SBI-2008", "J", "K"),
        ("62100", "SBI-2025", "K", "K"),
        ("64.20", "NACE-2", "K", "L"),
        ("64.21", "NACE-2.1", "L", "L"),
        ("69202", "SNI-2007", "M", "N"),
        ("10710", "TOL-2008", "C", "C"),
        ("45111", "SBI-2008", "G", "G"),
        ("45200", "SN-2007", "G", "T"),
        ("96210", "SN-2025", "T", "T"),
    ],
)
def test_a_code_leads_to_its_sector_by_way_of_its_revision(
    code: str, scheme: str, own_section: str, today: str
) -> None:
    assert section_in_own_revision(code, scheme) == Section(own_section, REVISIONS[scheme])
    assert sector_of(code, scheme) == Section(today, "NACE-2.1")


@pytest.mark.parametrize(
    ("code", "scheme"),
    [
        ("45401", "SBI-2008"),
        ("45200", "SBI-2025"),
        ("62100", ""),
        ("62100", "SIC-1992"),
        ("", "SBI-2025"),
        ("99999x", "x"),
    ],
)
def test_an_ambiguous_code_gives_no_sector(code: str, scheme: str) -> None:
    assert sector_of(code, scheme) is None


def test_the_dutch_register_says_its_revision_by_length_and_date() -> None:
    assert sbi_scheme("1011", date(2026, 11, 1)) == "SBI-2008"
    assert sbi_scheme("62010", date(2025, 9, 6)) == "SBI-2008"
    assert sbi_scheme("62010", date(2025, 9, 7)) == "SBI-2025"


def test_a_missing_revision_is_derived_from_the_class() -> None:
    assert national_scheme("NO", "62.010") == "SN-2007"
    assert national_scheme("NO", "96.210") == "SN-2025"
    assert {len(pair) for pair in NATIONAL.values()} == {2}


def test_no_scheme_is_without_revision() -> None:
    assert set(REVISIONS.values()) == {"NACE-2", "NACE-2.1"}
    assert all(pair[0] in REVISIONS and pair[1] in REVISIONS for pair in NATIONAL.values())


@pytest.mark.parametrize("language", ["en", "nl"])
def test_typing_a_trade_leads_to_its_section(language: str) -> None:
    assert {one.letter for one in search("bakk" if language == "nl" else "baker", language)} >= {"C"}
    assert [one.letter for one in search("", language)] == list(SECTIONS)
    through_division = [one for one in search("62", language) if one.matched_division]
    assert {one.letter for one in through_division} == {"K"}
    assert search("qqqq", language) == []


def test_dutch_letters_are_understood_on_an_english_page_too() -> None:
    assert {one.letter for one in search("bosbouw", "en")} == {"A"}
    assert [choice.matched_division for choice in search("bosbouw", "en") if choice.matched_division] == [
        "02 Forestry and logging"
    ]


@pytest.mark.parametrize(
    ("typed", "letter"),
    [
        ("k", "K"),
        ("K – Telecom and IT", "K"),
        ("telecom en it", "K"),
        ("Real estate", "M"),
        ("62", "K"),
        ("bosbouw en exploitatie van bossen", "A"),
        ("Kapper", ""),
        ("", ""),
        ("Z", ""),
        ("45", ""),
    ],
)
def test_what_is_typed_or_pasted_is_resolved_to_a_letter_or_to_nothing(typed: str, letter: str) -> None:
    assert resolve_sector(typed) == letter


def test_reasons_are_understood_in_both_languages() -> None:
    assert resolve_reason("Test / demo") == resolve_reason("TEST_DEMO") == "test_demo"
    assert resolve_reason("geen bedrijf") == "not_a_company"
    assert resolve_reason("because") == resolve_reason("") == ""
    assert set(EXAMPLES) == set(SECTIONS)
    assert "" not in REASONS


def test_the_lists_are_the_published_ones(shared_reference: Path) -> None:
    with (shared_reference / "sectors" / "nace_rev2_1_sections_divisions.csv").open(encoding="utf-8") as file:
        published = [row for row in csv.DictReader(file) if len(row["code"]) == 2]
    assert [(division["code"], division["section"]) for division in published] == [
        (code, section) for code, section, *_ in divisions()
    ]
    assert [one["nl"] for one in published] == [dutch for *_, dutch in divisions()]
    shipped = KOPPEL / "company_registers/sectors/data/division_to_section.csv"
    assert shipped.read_bytes() == (shared_reference / "sectors" / "division_to_section.csv").read_bytes()
