"""The audit log names people by the meaning of a field, not by its id alone.

In this organisation all ids collide: the person, the division, the template and the administration have the
same one.
"""

import csv
import html
import io
import re
from dataclasses import dataclass
from typing import Any

import pytest
from django.test import Client
from typer.testing import CliRunner

from koppel.administrations.audit_actions import BulkAuditAction
from koppel.administrations.audit_log.commands import app as audit_commands
from koppel.administrations.bulk import operations
from koppel.administrations.bulk.operations import Selection
from koppel.administrations.inputs import PredecessorInput
from koppel.administrations.lifecycle import predecessors
from koppel.administrations.models import Administration, Assignment
from koppel.audit.models import AuditEntry
from koppel.audit.services import add_audit_entry
from koppel.kit.tenancy import organisation_scope
from koppel.notifications.audience import preferences
from koppel.organisations.groups import divisions, settings_templates
from koppel.organisations.models import Division, DivisionMember, Membership, Organisation, Template, User
from koppel.organisations.roles import Actor
from tests.administrations.factories import restrict
from tests.books.factories import administration_of
from tests.fixtures.people import signed_in

ACTIVITY = "/organisation/activity/"


@dataclass(frozen=True, kw_only=True)
class CollidingFirm:
    admin: Actor
    lars: Actor
    id: int
    other_division: int
    other_template: int
    other_administration: int

    def browser(self, language: str = "en") -> Client:
        client = signed_in(self.admin)
        client.cookies["koppel_language"] = language
        return client

    def activity(self, language: str = "en") -> str:
        return text_of(self.browser(language).get(ACTIVITY).content.decode())


@pytest.fixture
def firm(actor: Any) -> CollidingFirm:
    admin = actor("administrator", name="Ada Beheer")
    with organisation_scope(admin.organisation_id):
        organisation = Organisation.objects.get()
    lars = actor("user", organisation=organisation, name="Lars Leider")
    same = lars.membership_id
    other = administration_of(admin, "Oud & Zonen")
    administration_of(admin, "Jansma B.V.", pk=same)
    tenant = {"organisation_id": admin.organisation_id}
    with organisation_scope(admin.organisation_id):
        Division.objects.create(**tenant, pk=same, name="Zuid")
        Template.objects.create(**tenant, pk=same, name="Maandelijks")
        north = Division.objects.create(**tenant, pk=same + 1000, name="Noord")
        quarterly = Template.objects.create(**tenant, pk=same + 1000, name="Kwartaal")
    return CollidingFirm(
        admin=admin,
        lars=lars,
        id=same,
        other_division=north.pk,
        other_template=quarterly.pk,
        other_administration=int(other.pk),
    )


def text_of(page: str) -> str:
    """What a person reads: no tags, single spaces."""
    body = page.rsplit("<tbody>", maxsplit=1)[-1] if "<tbody>" in page else page
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]+>", " ", body)))


def change_in_bulk(firm: CollidingFirm, **parameters: Any) -> int:
    with organisation_scope(firm.admin.organisation_id):
        operation = operations.preview(firm.admin, "change", parameters, Selection(ids=[firm.id]))
        operations.start_operation(firm.admin, operation.pk)
        return int(operation.pk)


def test_added_and_removed_people_are_named(firm: CollidingFirm) -> None:
    operation = change_in_bulk(firm, add=[firm.id], division=firm.id, template=firm.id)
    read = firm.activity()
    assert "Jansma B.V. – → " in read.replace("Division: –; Template: – →", "– →")
    assert "People: Lars Leider added" in read
    assert "Division: Zuid" in read
    assert "Template: Maandelijks" in read
    assert "People added Lars Leider" in read
    for wrong in ("Jansma B.V.: no", "add 2", "Jansma B.V. added", ": no", ": yes"):
        assert wrong not in read
    with organisation_scope(firm.admin.organisation_id):
        operations.undo(firm.admin, operation)
    assert "People: Lars Leider removed" in firm.activity()
    read = firm.activity("nl")
    assert "Lars Leider toegevoegd" in read
    assert "Lars Leider verwijderd" in read
    assert ": nee" not in read


def test_the_history_of_an_administration_shows_its_changes(firm: CollidingFirm) -> None:
    change_in_bulk(firm, add=[firm.id], division=firm.id)
    page = text_of(firm.browser().get(f"/administrations/{firm.id}/history/").content.decode())
    assert "People: Lars Leider added" in page
    assert "Division: – → Zuid" in page


def test_export_rest_and_command_line_name_people(firm: CollidingFirm) -> None:
    change_in_bulk(firm, add=[firm.id], division=firm.id)
    answer = b"".join(firm.browser().get(f"{ACTIVITY}?action=administrations.assigned&format=csv")).decode(
        "utf-8-sig"
    )
    details = [row[-1] for row in csv.reader(io.StringIO(answer))][1]
    assert "Jansma B.V." in details
    assert "Lars Leider added" in details
    assert "Division: Zuid" in details
    entry = firm.browser().get("/api/v1/activity?action=administrations.assigned").json()[0]
    assert entry["changes"][0]["field"] == "Jansma B.V."
    assert "Lars Leider added" in entry["changes"][0]["after"]
    assert entry["details"]["after"][str(firm.id)]["people"] == {str(firm.id): False}, "programs get the ids"
    with organisation_scope(firm.admin.organisation_id):
        email = User.objects.get(pk=firm.admin.user_id).email
    printed = CliRunner().invoke(audit_commands, ["list", "--as", email, "--json"])
    assert "Lars Leider added" in printed.output, printed.output


RECORDED: list[tuple[str, dict[str, Any], tuple[str, ...]]] = [
    (
        "administrations.assigned",
        {"added_members": ["ID"], "division_id": "ID", "template_id": "ID"},
        ("People added Lars Leider", "Division Zuid", "Template Maandelijks"),
    ),
    (
        "administrations.imported",
        {"administrations": ["ID"], "import": "ID"},
        ("Administrations Jansma B.V.",),
    ),
    ("administrations.moved", {"administrations": ["ID"]}, ("Administrations Jansma B.V.",)),
    ("administration.restricted", {"before": [], "after": ["ID"]}, ("People – → Lars Leider",)),
    ("administration.unrestricted", {"before": ["ID"], "after": []}, ("People Lars Leider → –",)),
    ("administration.reassigned", {"after": ["ID"]}, ("People – → Lars Leider",)),
    ("administration.predecessor_set", {"before": None, "after": "ID"}, ("Predecessor – → Jansma B.V.",)),
    ("division.members_changed", {"before": [], "after": ["ID"]}, ("People – → Lars Leider",)),
    (
        "division.merged",
        {"into": "ID", "into_name": "Zuid", "people": ["ID"], "administrations": "ID"},
        ("Merged into Zuid", "People Lars Leider", "Administrations COUNT"),
    ),
    (
        "template.merged",
        {"into": "ID", "into_name": "Maandelijks", "administrations": "ID"},
        ("Merged into Maandelijks", "Administrations COUNT"),
    ),
    ("connection.removed", {"policy": "keep", "administrations": "ID"}, ("Administrations COUNT",)),
    ("connection.import_policy_changed", {"policy": "all", "companies": "ID"}, ("companies COUNT",)),
    (
        "person.ownership_transferred",
        {"to": "Piet", "moved": {"administrations": "ID"}},
        ("Administrations: COUNT",),
    ),
    (
        "notifications.delivery_settings_changed",
        {"digest": True, "stand_in": "ID", "away_until": None},
        ("Substitute Lars Leider",),
    ),
    ("webhook.created", {"after": {"divisions": ["ID"], "name": "Hook"}}, ("Divisions – → Zuid",)),
]


@pytest.mark.parametrize(("action", "details", "words"), RECORDED, ids=[f"{row[0]}" for row in RECORDED])
def test_each_action_resolves_its_ids_by_what_its_fields_mean(
    firm: CollidingFirm, action: str, details: dict[str, Any], words: tuple[str, ...]
) -> None:
    def with_id(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: with_id(item) for key, item in value.items()}
        if isinstance(value, list):
            return [with_id(item) for item in value]
        return firm.id if value == "ID" else value

    with organisation_scope(firm.admin.organisation_id):
        add_audit_entry(firm.admin.organisation_id, firm.admin.audit, action, details=with_id(details))
    read = firm.activity()
    for expected in words:
        assert expected.replace("COUNT", str(firm.id)) in read, read


def test_recorded_actions_are_rendered_with_names(firm: CollidingFirm) -> None:
    """Actions through their use cases, so that a field that gets another shape is noticed here."""
    admin, same = firm.admin, firm.id
    with organisation_scope(admin.organisation_id):
        divisions.set_people(admin, firm.other_division, [same])
        divisions.merge(admin, firm.other_division, same)
        settings_templates.merge(admin, firm.other_template, same)
        predecessors.set_predecessor(admin, firm.other_administration, PredecessorInput(administration=same))
        preferences.update_delivery_settings(admin, digest=False, stand_in=same, away_until=None)
        restrict(admin, same, [same, admin.membership_id])
    read = firm.activity()
    for expected in (
        "People – → Lars Leider",
        "Merged into Zuid People Lars Leider",
        "Merged into Maandelijks",
        "Predecessor – → Jansma B.V.",
        "Substitute Lars Leider",
    ):
        assert expected in read, read


def test_an_erased_object_is_shown_as_removed(firm: CollidingFirm) -> None:
    change_in_bulk(firm, add=[firm.id], division=firm.id, template=firm.id)
    with organisation_scope(firm.admin.organisation_id):
        Assignment.objects.all().delete()
        DivisionMember.objects.all().delete()
        Administration.objects.filter(pk=firm.id).update(division=None, template=None)
        Division.objects.filter(pk=firm.id).delete()
        Template.objects.filter(pk=firm.id).delete()
        Membership.objects.filter(pk=firm.id).delete()
    read = firm.activity()
    for expected in ("a removed user added", "Division: a removed division", "Template: a removed template"):
        assert expected in read, read
    assert "een verwijderde gebruiker toegevoegd" in firm.activity("nl")
    with organisation_scope(firm.admin.organisation_id):
        tenant = {"organisation_id": firm.admin.organisation_id}
        details = {"administrations": [firm.id + 5000]}
        add_audit_entry(firm.admin.organisation_id, firm.admin.audit, BulkAuditAction.MOVED, details=details)
        assert AuditEntry.objects.filter(**tenant).exists()
    assert "Administrations a removed administration" in firm.activity()


def test_a_restricted_administration_stays_hidden_and_hides_no_person_of_its_number(
    firm: CollidingFirm,
) -> None:
    """Lars has the number of the restricted administration; he was put on another one."""
    with organisation_scope(firm.admin.organisation_id):
        operation = operations.preview(
            firm.admin, "change", {"add": [firm.id]}, Selection(ids=[firm.other_administration, firm.id])
        )
        operations.start_operation(firm.admin, operation.pk)
        restrict(firm.admin, firm.id, [firm.id])
    read = firm.activity()
    assert "Jansma" not in read
    assert "Oud & Zonen – → People: Lars Leider added" in read
    page = b"".join(firm.browser().get(f"{ACTIVITY}?format=csv")).decode("utf-8-sig")
    assert "Jansma" not in page
    assert "Jansma" not in str(firm.browser().get("/api/v1/activity").json())
