"""Bulk work from a table: what each line sets, which lines are left out and why, and identities in bulk."""

from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test.utils import CaptureQueriesContext

from koppel.administrations.bulk import csv_import, operations
from koppel.administrations.bulk.operations import Selection
from koppel.administrations.models import Administration, Assignment, Favourite
from koppel.audit.models import AuditEntry
from koppel.audit.subjects import Subject, SubjectKind
from koppel.issues.models import Issue
from koppel.issues.services import raise_issue
from koppel.kit.tenancy import organisation_scope
from koppel.organisations.errors import Refused
from koppel.organisations.models import Membership, User
from koppel.organisations.roles import Actor
from tests.administrations.factories import Firm, create_firm
from tests.administrations.test_bulk import colleague
from tests.administrations.test_list import browser_of
from tests.books.factories import administration_of


@pytest.fixture
def firm(actor: Any) -> Firm:
    return create_firm(actor("administrator"), 24)


def test_a_csv_sets_differing_values_and_reports_invalid_lines(firm: Firm, actor: Any) -> None:
    admin = firm.admin
    anna = colleague(actor, admin, "user", "Anna")
    with organisation_scope(admin.organisation_id):
        mail = Membership.objects.select_related("user").get(pk=anna.membership_id).user.email
        first, two, three = Administration.objects.filter(pk__in=firm.ids).order_by("pk")[:3]
    text = "\n".join(
        [
            "Code in bron;klantnummer;Afdeling;KvK-nummer;gebruikers toevoegen",
            f"V00000;C-1;west;69599084;{mail}",
            "V00001;=C-2;-;;",
            "V00002;;;NL001234567B01;",
            "V99999;x;;;",
            "V00003;;Nergens;;",
            "V00004;;Noord;;",
            "V00004;;West;;",
            *(f"X{index};;;;" for index in range(120)),
        ]
    )
    browser = browser_of(admin)
    draft = browser.post("/administrations/bulk/csv/", {"text": text}).headers["Location"]
    page = browser.get(draft).content.decode()
    assert "124 lines could not be processed" in page
    assert "and 24 more lines" in page
    assert "No administration found with this name" in page
    assert "Lines 7, 8 differ for this administration; none is used." in page
    assert "This is a VAT number." in page
    assert "2 administrations will change" in page
    browser.post(f"{draft}start")
    assert "124 lines could not be processed" in browser.get(draft).content.decode()
    with organisation_scope(admin.organisation_id):
        first.refresh_from_db()
        two.refresh_from_db()
        three.refresh_from_db()
        assert (first.client_number, first.division_id, first.number) == (
            "C-1",
            firm.divisions[3],
            "69599084",
        )
        assert (two.client_number, two.division_id) == ("=C-2", None)
        assert three.number != "001234567"
        assert Assignment.objects.filter(administration=first, membership_id=anna.membership_id).exists()


def test_a_csv_selects_administrations_for_other_actions(firm: Firm) -> None:
    """Whatever other columns it has: an export of the list can be cut down and brought back."""
    admin = firm.admin
    browser = browser_of(admin)
    text = "code;naam;wat dan ook\nV00000;x;y\nV00001;x;y\nV99999;x;y\n"
    form = {"text": text, "action": "deactivate", "deactivate-reason": "Praktijk verkocht"}
    draft = browser.post("/administrations/bulk/csv/", form).headers["Location"]
    page = browser.get(draft).content.decode()
    assert "2 administrations will change" in page
    assert "Reason: Praktijk verkocht" in page
    assert "No administration found with this name" in page
    browser.post(f"{draft}start")
    with organisation_scope(admin.organisation_id):
        off = Administration.objects.filter(deactivation_reason="Praktijk verkocht").order_by(
            "remote_company__code"
        )
        assert list(off.values_list("remote_company__code", "status")) == [
            ("V00000", "deactivated"),
            ("V00001", "deactivated"),
        ]
    draft = browser.post("/administrations/bulk/csv/", {"text": text, "action": "add_favourite"}).headers[
        "Location"
    ]
    browser.post(f"{draft}start")
    with organisation_scope(admin.organisation_id):
        assert Favourite.objects.filter(membership_id=admin.membership_id).count() == 2
    refused = browser.post("/administrations/bulk/csv/", {"text": text, "action": "no such act"})
    assert refused.status_code == 200


def test_identities_set_in_bulk_are_validated_and_resolve_issues(actor: Any) -> None:
    """A number, or a reason and a sector: by a file as Excel writes it on Windows, and back by its undo."""
    admin = actor("administrator")
    names = ("Café Één", "Twee", "Drie", "Vier")
    first, two, three, four = (administration_of(admin, name, country="NL", number="") for name in names)
    sole = administration_of(admin, "Enskild Firma", country="SE", number="")
    with organisation_scope(admin.organisation_id):
        Administration.objects.filter(pk=three.pk).update(
            no_number_reason="private_person", sector="K", sector_scheme="NACE-2.1"
        )
        Administration.objects.filter(pk=four.pk).update(number="69599084")
        for administration in (first, two, sole):
            raise_issue(
                admin.organisation_id,
                "identity_incomplete",
                Subject(SubjectKind.ADMINISTRATION, administration.pk),
            )
        raise_issue(admin.organisation_id, "company_closed", Subject(SubjectKind.ADMINISTRATION, four.pk))
    text = (
        "naam;nummer;reden;sector\n"
        "Café Één;68750110;;\n"
        "Twee;;Geen bedrijf;G\n"
        "Drie;;;-\n"
        "Vier;90001354;;\n"
        "Enskild Firma;811218-9876;;\n"
    )
    browser = browser_of(admin)
    upload = SimpleUploadedFile("lijst.csv", text.encode("cp1252"))
    draft = browser.post("/administrations/bulk/csv/", {"file": upload}).headers["Location"]
    page = browser.get(draft).content.decode()
    assert "Without a number, a reason and a sector are required." in page
    assert "811218-9876" not in page
    assert "811218-****" in page
    browser.post(f"{draft}start")
    assert open_codes(admin) == {}
    with organisation_scope(admin.organisation_id):
        two.refresh_from_db()
        three.refresh_from_db()
        assert (two.number, two.no_number_reason, two.sector) == ("", "not_a_company", "G")
        assert three.sector == "K"
        details = str(AuditEntry.objects.get(action="administrations.changed").details)
    assert "9876" not in details
    browser.post(f"{draft}undo")
    assert open_codes(admin) == {
        first.pk: "identity_incomplete",
        two.pk: "identity_incomplete",
        sole.pk: "identity_incomplete",
    }


def open_codes(admin: Actor) -> dict[int, str]:
    with organisation_scope(admin.organisation_id):
        return dict(Issue.objects.filter(resolved_at=None).values_list("subject_id", "code"))


def test_a_personal_number_is_masked_in_audit_log_and_stored_parameters(actor: Any) -> None:
    admin = actor("administrator")
    administration = administration_of(admin, "Anna Lind", country="SE")
    browser, number = browser_of(admin), "8501011230"
    answer = browser.patch(
        f"/api/v1/administrations/{administration.pk}", {"number": number}, content_type="application/json"
    ).json()
    assert answer["number"] == "850101-****"
    assert number not in browser.get("/api/v1/activity").content.decode()
    assert number not in browser.get("/api/v1/administrations/bulk").content.decode()


@pytest.mark.parametrize("text", ["name;sector\rBakkerij;A\r\nx;y", 'name;sector\n"' + "x" * 200_000])
def test_a_file_that_is_not_a_table_is_refused_with_a_sentence(firm: Firm, text: str) -> None:
    upload = SimpleUploadedFile("lijst.csv", text.encode())
    answer = browser_of(firm.admin).post("/administrations/bulk/csv/", {"file": upload})
    assert answer.status_code == 200
    assert any(words in answer.content.decode() for words in ("could not be read", "No line of the file"))


def test_a_workbook_and_two_sources_at_once_are_refused_at_the_file(firm: Firm) -> None:
    browser, workbook = browser_of(firm.admin), b"PK\x03\x04" + bytes(26) + b"[Content_Types].xml"
    for content, text, words in (
        (workbook, "", "This is a workbook, not a CSV file."),
        (b"code;sector\nV00000;A\n", "code;sector\nV00001;A\n", "not both"),
    ):
        form = {"file": SimpleUploadedFile("lijst.csv", content), "text": text}
        page = browser.post("/administrations/bulk/csv/", form).content.decode()
        assert words in page
        assert 'aria-invalid="true"' in page


def test_a_line_of_a_file_that_cannot_be_read_is_named(firm: Firm) -> None:
    text = 'code;sector\nV00000;A\n\n"V00001;B\n'
    page = (
        browser_of(firm.admin)
        .post("/administrations/bulk/csv/", {"text": text}, follow=True)
        .content.decode()
    )
    assert "Line 4 could not be read as a table row." in page


def test_reading_a_csv_takes_the_same_number_of_queries_for_any_length(firm: Firm, actor: Any) -> None:
    anna = colleague(actor, firm.admin, "user", "Anna Smit")
    mail = User.objects.get(pk=anna.user_id).email

    def query_count(count: int) -> int:
        lines = "".join(f"{one};Noord;Standard;{mail}\n" for one in firm.ids[:count])
        with organisation_scope(firm.admin.organisation_id), CaptureQueriesContext(connection) as captured:
            assert (
                len(csv_import.read_changes(firm.admin, "id;division;template;add\n" + lines).values_by_id)
                == count
            )
        return len(captured)

    assert query_count(20) == query_count(2)


def test_a_client_number_that_is_too_long_is_refused_and_not_cut(firm: Firm) -> None:
    with organisation_scope(firm.admin.organisation_id):
        changes = csv_import.read_changes(firm.admin, f"id;client number\n{firm.ids[0]};{'9' * 61}\n")
        assert changes.values_by_id == {}
        ((number, _text, problem),) = changes.problems
        assert (number, problem) == (2, "A client number has at most 60 characters.")


def test_a_reason_that_is_too_long_is_refused_and_not_cut(firm: Firm) -> None:
    with (
        organisation_scope(firm.admin.organisation_id),
        pytest.raises(Refused, match="at most 300 characters"),
    ):
        operations.preview(firm.admin, "deactivate", {"reason": "x" * 301}, Selection(ids=firm.ids))


@pytest.mark.parametrize(
    ("text", "count", "problem"),
    [
        ("code;name;sector\nV00000;{other};A\n", 0, "belongs to another administration"),
        ("name;id;sector\n{name};{other_id};A\n", 0, "belongs to another administration"),
        ("name;name;sector\n{name};{other};A\n", 0, "belongs to another administration"),
        ("name;code;sector\n{name};V00000;A\n", 1, ""),
        ('code;sector\n="V00000";="A"\n', 1, ""),
        ("code;number\nV00000;68750110.0\n", 1, ""),
        ("code;number\nV00000;6,8750110E+07\n", 1, ""),
        ('code;number\nV00000;="68750110"\n', 1, ""),
    ],
)
def test_a_line_changes_the_administration_it_names_in_every_column(
    firm: Firm, text: str, count: int, problem: str
) -> None:
    with organisation_scope(firm.admin.organisation_id):
        first = Administration.objects.get(remote_company__code="V00000")
        other = Administration.objects.get(remote_company__code="V00001")
        names = {"name": first.name, "other": other.name, "other_id": other.pk}
        changes = csv_import.read_changes(firm.admin, text.format(**names))
    assert len(changes.values_by_id) == count
    assert [problem in sentence for _line, _text, sentence in changes.problems] == [True] * (1 - count)
    assert {values.get("number", "68750110") for values in changes.values_by_id.values()} <= {"68750110"}
