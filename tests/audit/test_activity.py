"""The audit log for Administrators: filters, export and retention."""

import csv
import io
import re
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from django.utils import timezone

from koppel.administrations.audit_actions import AdministrationAction, BulkAuditAction
from koppel.audit.chain import link_pending
from koppel.audit.chain_reader import verify_chains
from koppel.audit.models import ActorKind, AuditEntry, Interface
from koppel.audit.services import AuditActor, add_audit_entry
from koppel.audit.signing_keys import signing_keys
from koppel.audit.subjects import Subject, SubjectKind
from koppel.connections.audit_actions import ConnectionAction
from koppel.kit.database.embedded_postgres import Addresses
from koppel.kit.tenancy import organisation_scope
from koppel.organisations import tasks
from koppel.organisations.groups.divisions import create_division
from koppel.organisations.groups.inputs import DivisionInput
from koppel.organisations.models import Division, Organisation
from koppel.organisations.roles import Actor
from tests.administrations.factories import restrict
from tests.books.factories import administration_of
from tests.fixtures.people import signed_in

PAGE = "/organisation/activity/"


@pytest.fixture
def admin(actor: Any) -> Actor:
    return actor("administrator", name="Anna")  # type: ignore[no-any-return]


def record_entry(actor: Actor, action: str, name: str, **details: Any) -> None:
    with organisation_scope(actor.organisation_id):
        add_audit_entry(
            actor.organisation_id,
            actor.audit,
            action,
            subject=Subject(kind=SubjectKind.DIVISION, id=1, name=name),
            details=details,
        )


def backdate_entries(addresses: Addresses, name: str, years: int) -> None:
    """Before they are linked: the chain holds the time."""
    with psycopg.connect(addresses.superuser_url) as connection:
        at = timezone.now() - timedelta(days=years * 366)
        connection.execute("UPDATE audit_entry SET at = %s WHERE subject_name = %s", [at, name])
    link_pending()


def test_the_audit_log_is_filtered_by_person_action_interface_period_and_text(
    admin: Actor, actor: Any
) -> None:
    with organisation_scope(admin.organisation_id):
        firm = Organisation.objects.get()
    other = actor("administrator", organisation=firm, name="Bram")
    record_entry(admin, "division.created", "Zuid")
    record_entry(other, "division.changed", "Noord", before={"name": "N"}, after={"name": "Noord"})
    with organisation_scope(admin.organisation_id):
        add_audit_entry(
            firm.pk,
            AuditActor(kind=ActorKind.JOB, id=None, name="Koppel"),
            "division.created",
            subject=Subject(kind=SubjectKind.DIVISION, id=2, name="Oost"),
        )
    client, today = signed_in(admin), timezone.localdate()
    for query, seen in (
        ("", {"Zuid", "Noord", "Oost"}),
        (f"person={other.user_id}", {"Noord"}),
        ("action=division.created", {"Zuid", "Oost"}),
        ("interface=job", {"Oost"}),
        ("q=bram", {"Noord"}),
        (f"since={today}&until={today}", {"Zuid", "Noord", "Oost"}),
        (f"until={today - timedelta(days=1)}", set()),
        ("since=0001-01-01&until=9999-12-31", {"Zuid", "Noord", "Oost"}),
    ):
        page = client.get(f"{PAGE}?{query}").content.decode()
        assert {
            name for name in ("Zuid", "Noord", "Oost") if re.search(rf"<td[^>]*>\s*{name}\s*</td>", page)
        } == seen, query
    for strange in (
        "since=rubbish",
        "person=x",
        "person=987654",
        "action=nothing",
        "interface=roof",
        "page=-4",
    ):
        page = client.get(f"{PAGE}?{strange}").content.decode()
        assert ("Unknown filter" in page, "<td>Zuid</td>" in page) == (True, False), strange
    assert "<del>N</del> → <ins>Noord</ins>" in " ".join(client.get(PAGE).content.decode().split())


def test_an_export_of_the_audit_log_is_escaped_and_audited(admin: Actor) -> None:
    record_entry(admin, "division.created", "=HYPERLINK(evil)")
    answer = signed_in(admin).get(f"{PAGE}?action=division.created&format=csv")
    rows = list(csv.reader(io.StringIO(b"".join(answer).decode("utf-8-sig"))))
    assert rows[0][:2] == ["When", "Who"]
    assert rows[1][1] == "Anna"
    assert "'=HYPERLINK(evil)" in rows[1]
    with organisation_scope(admin.organisation_id):
        assert AuditEntry.objects.get(action="audit.exported").details == {
            "filter": {"action": "division.created"}
        }


@pytest.mark.parametrize("role", ["team_leader", "user"])
def test_only_administrators_read_the_audit_log(actor: Any, role: str) -> None:
    assert signed_in(actor(role)).get(PAGE).status_code == 403


def test_expired_entries_are_deleted_and_the_deletion_is_audited(
    admin: Actor, database_addresses: Addresses
) -> None:
    record_entry(admin, "division.created", "Ancient")
    backdate_entries(database_addresses, "Ancient", 4)
    record_entry(admin, "division.created", "Recent")
    link_pending()
    tasks.expire_audit(0)
    with organisation_scope(admin.organisation_id):
        assert AuditEntry.objects.count() == 2, "Seven years is what holds until somebody chooses."
        Organisation.objects.update(audit_years=3)
    tasks.expire_audit(0)
    with organisation_scope(admin.organisation_id):
        assert not AuditEntry.objects.filter(subject_name="Ancient").exists()
        assert AuditEntry.objects.filter(subject_name="Recent").exists()
        assert AuditEntry.objects.get(action="audit.expired").details == {
            "count": 1,
            "through": 1,
            "years": 3,
        }
    link_pending()
    (result,) = verify_chains(signing_keys(), [])
    assert (result.length, result.entries, result.expired, result.findings) == (3, 2, 1, [])


def test_the_application_cannot_delete_entries_younger_than_a_year(
    admin: Actor, actor: Any, database_addresses: Addresses
) -> None:
    """Whatever the application writes into the setting, and for nobody but the organisation it names."""
    stranger = actor("administrator")
    for person in (admin, stranger):
        record_entry(person, "division.created", "Old")
    backdate_entries(database_addresses, "Old", 2)
    record_entry(admin, "division.created", "Young")
    with organisation_scope(admin.organisation_id):
        Organisation.objects.update(audit_years=0)
    tasks.expire_audit(0)
    with organisation_scope(admin.organisation_id):
        assert set(AuditEntry.objects.values_list("action", flat=True)) == {
            "division.created",
            "audit.expired",
        }
    with organisation_scope(stranger.organisation_id):
        assert AuditEntry.objects.filter(subject_name="Old").exists()


def test_entries_about_restricted_administrations_are_hidden(admin: Actor, actor: Any) -> None:
    """Nor what was written before it was restricted, nor by searching, nor in the file."""
    with organisation_scope(admin.organisation_id):
        firm = Organisation.objects.get()
    named = actor("administrator", organisation=firm, name="Noor")
    secret, other = administration_of(admin, "Familie Van Zorgen"), administration_of(admin, "Bakkerij B.V.")
    with organisation_scope(admin.organisation_id):
        for administration in (secret, other):
            add_audit_entry(
                firm.pk,
                admin.audit,
                AdministrationAction.IDENTIFIED,
                subject=Subject(
                    kind=SubjectKind.ADMINISTRATION, id=administration.pk, name=administration.name
                ),
                details={"after": {"number": f"nr-{administration.name[:5]}"}},
            )
        values = {str(secret.pk): {"sector": "veiled"}, str(other.pk): {"sector": "shown"}}
        add_audit_entry(
            firm.pk,
            admin.audit,
            BulkAuditAction.CHANGED,
            subject=Subject(SubjectKind.BULK_OPERATION, 1),
            details={"administrations": [secret.pk, other.pk], "after": values},
        )
        add_audit_entry(
            firm.pk,
            admin.audit,
            ConnectionAction.COMPANIES_SHARED,
            details={"companies": [secret.name, other.name]},
        )
        restrict(admin, secret.pk, [named.membership_id])

    def read(person: Actor, query: str) -> str:
        answer = signed_in(person).get(f"{PAGE}?{query}")
        return b"".join(answer).decode()

    for query in ("", "format=csv"):
        seen, redacted = read(named, query), read(admin, query)
        for text in ("Familie Van Zorgen", "nr-Famil", "veiled"):
            assert text in seen, (text, query)
            assert text not in redacted, (text, query)
        assert "Bakkerij B.V." in redacted
        assert "nr-Bakke" in redacted
        assert "shown" in redacted
    assert "nr-Famil" in read(named, "q=zorgen")
    assert "<td>…</td>" not in read(admin, "q=zorgen"), "no search tells that it is one of these"


def test_changes_are_rendered_in_the_readers_language(admin: Actor) -> None:
    """Fields by their labels, divisions and companies by name, dates as dates; what is gone is called
    removed.
    """
    with organisation_scope(admin.organisation_id):
        create_division(admin, DivisionInput(name="Zuid"))
        division = Division.objects.get()
    administration = administration_of(admin, "Bakkerij B.V.")
    record_entry(
        admin,
        "administrations.assigned",
        "",
        before={str(administration.pk): {"columns": {"division_id": None}, "people": []}},
        after={
            str(administration.pk): {"columns": {"division_id": division.pk}, "people": [admin.membership_id]}
        },
    )
    record_entry(
        admin,
        "token.created",
        "script",
        after={"read_only": True, "expires_at": "2027-02-26T20:54:06.350700+00:00"},
    )
    record_entry(admin, "division.changed", "Zuid", after={"division_id": 987654, "made_up_key": "x"})
    client = signed_in(admin)
    client.cookies["koppel_language"] = "nl"
    page = client.get(PAGE).content.decode()
    for expected in (
        "Bakkerij B.V.</span>",
        "Afdeling: Zuid",
        "Gebruikers: Anna",
        "Alleen lezen</span>",
        "<ins>ja</ins>",
        "26 feb 2027 21:54",
        "<ins>een verwijderde afdeling</ins>",
        "made up key",
    ):
        assert expected in page, expected
    assert "division_id" not in page


def test_an_entry_names_the_interface(admin: Actor) -> None:
    assert (admin.audit.kind, admin.audit.interface) == (ActorKind.PERSON, Interface.WEB)
