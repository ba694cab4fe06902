"""People, divisions, templates and the audit log over REST and from the command line."""

import io
import json
from contextlib import redirect_stdout
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import typer
from django.test import Client
from django.utils import timezone
from pydantic import ValidationError as InputError

from koppel.administrations.audit_log import commands as audit_commands
from koppel.administrations.models import Administration
from koppel.audit.models import AuditEntry
from koppel.kit.errors import KoppelError, refusal_text
from koppel.kit.tenancy import organisation_scope
from koppel.organisations.commands import divisions, people, templates
from koppel.organisations.invitations import csv_import
from koppel.organisations.models import (
    Division,
    DivisionMember,
    Invitation,
    Membership,
    Organisation,
    Template,
    User,
)
from koppel.organisations.roles import Actor
from tests.books.factories import administration_of


@pytest.fixture
def admin(actor: Any) -> Actor:
    return actor("administrator", name="Anna")  # type: ignore[no-any-return]


def colleague(actor: Any, admin: Actor, role: str, name: str = "Ben") -> Actor:
    with organisation_scope(admin.organisation_id):
        firm = Organisation.objects.get()
    return actor(role, organisation=firm, name=name)  # type: ignore[no-any-return]


def run(actor: Actor, app: typer.Typer, *words: object) -> Any:
    email = User.objects.get(pk=actor.user_id).email
    with redirect_stdout(io.StringIO()) as printed:
        args = [*map(str, words), "--as", email, "--json"]
        typer.main.get_command(app).main(args=args, prog_name="koppel", standalone_mode=False)
    return json.loads(printed.getvalue().splitlines()[-1])


def send(actor: Actor, method: str, path: str, body: Any = None, status: int = 200) -> Any:
    client = Client()
    client.force_login(User.objects.get(pk=actor.user_id))
    answer = client.generic(method, f"/api/v1{path}", json.dumps(body), "application/json")
    assert answer.status_code == status, answer.content.decode()
    return answer.json() if answer.content else None


def test_divisions_are_made_filled_renamed_merged_and_archived(admin: Actor, actor: Any) -> None:
    ben = colleague(actor, admin, "user")
    division = run(admin, divisions.app, "create", "Zuid", "--member", ben.membership_id)
    assert (division["name"], division["people"]) == ("Zuid", 1)
    other = run(admin, divisions.app, "create", "Noord")["id"]
    assert (
        run(admin, divisions.app, "members", division["id"], "--add", admin.membership_id)[0]["name"]
        == "Anna"
    )
    assert len(run(admin, divisions.app, "members", division["id"], "--remove", ben.membership_id)) == 1
    assert run(admin, divisions.app, "rename", other, "Het Noorden")["name"] == "Het Noorden"
    assert run(admin, divisions.app, "archive", other)["is_archived"]
    assert not run(admin, divisions.app, "unarchive", other)["is_archived"]
    assert run(admin, divisions.app, "merge", division["id"], other)["into"] == other
    with organisation_scope(admin.organisation_id):
        assert Division.objects.get(pk=division["id"]).archived_at is not None
        assert DivisionMember.objects.get().division_id == other
        assert AuditEntry.objects.filter(action="division.merged", interface="cli").exists()
    with pytest.raises(KoppelError, match="already exists"):
        run(admin, divisions.app, "create", "het noorden")


def test_a_template_says_what_it_would_change_before_it_does(admin: Actor) -> None:
    notify = ("--notify", "sync_failing=division")
    template = run(admin, templates.app, "create", "Standard", "--schedule", "night", *notify)
    assert template["settings"] == {"schedule": "night", "notify": {"sync_failing": "division"}}
    administration_of(admin)
    with organisation_scope(admin.organisation_id):
        Administration.objects.update(template_id=template["id"])
    change = ("update", template["id"], "--fiscal-years-back", "3", "--unset", "schedule")
    preview = run(admin, templates.app, *change, "--dry-run")
    assert (preview["changed"], preview["total"], preview["stored"]) == (1, 1, False)
    with organisation_scope(admin.organisation_id):
        assert Template.objects.get().settings == template["settings"]
    run(admin, templates.app, *change)
    with organisation_scope(admin.organisation_id):
        assert Template.objects.get().settings == {
            "notify": {"sync_failing": "division"},
            "fiscal_years_back": 3,
        }
    for words, why in (
        (("--notify", "sync_failing"), "event=audience"),
        (("--notify", "nothing=nobody"), "cannot be saved"),
        (("--unset", "colour"), "not a setting"),
        (("--schedule", "hourly"), "cannot be saved"),
    ):
        with pytest.raises(KoppelError, match=why):
            run(admin, templates.app, "update", template["id"], *words)
    other = run(admin, templates.app, "create", "Wide")["id"]
    assert run(admin, templates.app, "merge", template["id"], other)["administrations"] == 1
    assert run(admin, templates.app, "archive", other)["is_archived"]


def test_people_are_invited_changed_and_handed_over_from_the_shell(
    admin: Actor, actor: Any, tmp_path: Path
) -> None:
    ben, leader = colleague(actor, admin, "user"), colleague(actor, admin, "team_leader", "Lea")
    assert run(admin, people.app, "invite", "cleo@example.test", "--role", "reader")["role"] == "reader"
    file = tmp_path / "people.csv"
    file.write_text("dirk@example.test;Dirk;administrator\nels@example.test;Els;user\n")
    assert [line["invited"] for line in run(leader, people.app, "invite-csv", file)] == [False, True]
    assert run(admin, people.app, "update", ben.membership_id, "--role", "user_plus")["role"] == "user_plus"
    for words in (
        ("update", ben.membership_id, "--role", "administrator"),
        ("end-sessions", admin.membership_id),
    ):
        with pytest.raises(KoppelError, match="Only an Administrator"):
            run(leader, people.app, *words)
    with pytest.raises(KoppelError, match="last Administrator"):
        run(admin, people.app, "update", admin.membership_id, "--until", "2099-01-01")
    run(admin, people.app, "hand-over", ben.membership_id, leader.membership_id, "--deactivate")
    listing = run(admin, people.app, "list", "--search", "Ben")
    assert [(one["name"], one["active"], one["role"]) for one in listing] == [("Ben", False, "user_plus")]


def test_people_over_rest_have_the_same_limits(admin: Actor, actor: Any) -> None:
    ben, leader = colleague(actor, admin, "user"), colleague(actor, admin, "team_leader", "Lea")
    stranger = actor("administrator")
    for email, role, status in (("x@example.test", "administrator", 409), ("y@example.test", "user", 201)):
        send(leader, "POST", "/people/invitations", {"email": email, "role": role}, status)
    (invitation,) = send(leader, "GET", "/people/invitations")
    send(stranger, "DELETE", f"/people/invitations/{invitation['id']}", status=409)
    assert send(leader, "POST", f"/people/invitations/{invitation['id']}/resend")["email"] == "y@example.test"
    send(leader, "DELETE", f"/people/invitations/{invitation['id']}", status=204)
    access = {"role": "administrator", "active": True}
    for who, whom, status in (
        (leader, ben, 409),
        (leader, leader, 409),
        (stranger, ben, 404),
        (ben, ben, 403),
    ):
        send(who, "PUT", f"/people/{whom.membership_id}", access, status)
    send(admin, "PUT", f"/people/{admin.membership_id}", {"role": "reader"}, 409)
    until = (timezone.now() + timedelta(days=9)).isoformat()
    assert (
        send(admin, "PUT", f"/people/{ben.membership_id}", {"role": "reader", "expires_at": until})["role"]
        == "reader"
    )
    assert send(admin, "POST", f"/people/{ben.membership_id}/end-sessions")["sessions"] == 1
    hand = {"to": leader.membership_id, "deactivate": True}
    send(leader, "POST", f"/people/{admin.membership_id}/hand-over", hand, 409)
    assert set(send(admin, "POST", f"/people/{ben.membership_id}/hand-over", hand)["moved"]) >= {
        "assignments"
    }
    with organisation_scope(admin.organisation_id):
        assert not Membership.objects.get(pk=ben.membership_id).is_active
        assert Invitation.objects.get().revoked_at is not None


def test_the_trail_is_read_page_by_page_over_rest_and_from_the_shell(admin: Actor, actor: Any) -> None:
    for name in ("Noord", "Oost", "Zuid"):
        run(admin, divisions.app, "create", name)
    first = send(admin, "GET", "/activity?action=division.created&limit=2")
    assert [one["subject_name"] for one in first] == ["Zuid", "Oost"]
    rest = send(admin, "GET", f"/activity?action=division.created&before={first[-1]['id']}")
    assert [(one["subject_name"], one["interface"], one["actor_name"]) for one in rest] == [
        ("Noord", "cli", "Anna")
    ]
    assert send(actor("administrator"), "GET", "/activity?action=division.created") == []
    send(colleague(actor, admin, "team_leader"), "GET", "/activity", status=403)
    entries = run(admin, audit_commands.app, "list", "--search", "oost", "--interface", "cli")
    assert [(one["action"], one["subject"]) for one in entries] == [("division.created", "Oost")]
    with pytest.raises(KoppelError, match="not a date"):
        run(admin, audit_commands.app, "list", "--since", "yesterday")


def test_a_division_refuses_people_without_access(admin: Actor, actor: Any) -> None:
    ben, gone, stranger = (
        colleague(actor, admin, "user"),
        colleague(actor, admin, "user", "Eva"),
        actor("user"),
    )
    zuid = send(
        admin, "POST", "/divisions", {"name": "Zuid", "people": [ben.membership_id, gone.membership_id]}, 201
    )
    with organisation_scope(admin.organisation_id):
        Membership.objects.filter(pk=gone.membership_id).update(is_active=False)
    for person in (gone.membership_id, stranger.membership_id, 999_999, -1, 2**70):
        for method, path in (("POST", "/divisions"), ("PUT", f"/divisions/{zuid['id']}")):
            answer = send(admin, method, path, {"name": "Oost", "people": [person, ben.membership_id]}, 409)
            assert answer == {
                "error": "refused",
                "message": "Choose active people.",
                "field": "people",
            }
    for words in (("create", "Oost", "--member"), ("members", zuid["id"], "--add")):
        with pytest.raises(KoppelError, match="Choose active people"):
            run(admin, divisions.app, *words, 999_999)
    run(
        admin,
        divisions.app,
        "members",
        zuid["id"],
        "--add",
        admin.membership_id,
        "--remove",
        ben.membership_id,
    )
    with organisation_scope(admin.organisation_id):
        members = set(DivisionMember.objects.values_list("membership_id", flat=True))
        assert (members, Division.objects.get().name) == ({gone.membership_id, admin.membership_id}, "Zuid")


def test_archived_objects_stay_archived_until_restored(admin: Actor) -> None:
    for kind, app in (("divisions", divisions.app), ("templates", templates.app)):
        path = f"/{kind}/{send(admin, 'POST', f'/{kind}', {'name': 'Zuid'}, 201)['id']}"
        assert not send(admin, "PUT", path, {"name": "Oost"})["is_archived"]
        assert send(admin, "PUT", path, {"name": "Oost", "archived": True})["is_archived"]
        assert send(admin, "PUT", path, {"name": "West"})["is_archived"]
        word = ("rename", "Noord") if kind == "divisions" else ("update", "--name=Noord")
        run(admin, app, word[0], path.rpartition("/")[2], word[1])
        (row,) = send(admin, "GET", f"/{kind}")
        assert (row["name"], row["is_archived"]) == ("Noord", True)
        assert not send(admin, "PUT", path, {"name": "West", "archived": False})["is_archived"]


def test_a_name_is_refused_rather_than_cut(admin: Actor) -> None:
    bodies = {"divisions": {}, "templates": {}, "webhooks": {"url": "https://tickets.example.test/"}}
    for kind, body in bodies.items():
        longest = 100 if kind == "webhooks" else 120
        answer = send(admin, "POST", f"/{kind}", body | {"name": "n" * (longest + 1)}, 422)
        assert answer["detail"][0]["loc"][-1] == "name"
        assert send(admin, "POST", f"/{kind}", body | {"name": " "}, 409)["field"] == "name"
        assert (
            send(admin, "POST", f"/{kind}", body | {"name": f" {'n' * longest} "}, 201)["name"]
            == "n" * longest
        )
    for app in (divisions.app, templates.app):
        with pytest.raises(InputError) as refused:
            run(admin, app, "create", "n" * 121)
        assert "name: Enter at most 120 characters" in refusal_text(refused.value)


def test_an_invitation_names_what_it_cannot_take(admin: Actor) -> None:
    """Nothing is cut short and nothing is left out in silence: over REST, from the shell, in a file."""
    email = "nieuw@example.test"
    body = {"email": email, "role": "user"}
    answer = send(admin, "post", "/people/invitations", {**body, "divisions": [987654]}, status=409)
    assert (answer["field"], "number 987654" in answer["message"]) == ("divisions", True)
    with pytest.raises(KoppelError, match="number 987654"):
        run(admin, people.app, "invite", email, "--division", "987654")
    for too_long in ({"name": "n" * 201}, {"email": f"{'n' * 250}@example.test"}):
        answer = send(admin, "post", "/people/invitations", body | too_long, status=422)
        assert answer["detail"][0]["loc"][-1] in too_long
    with pytest.raises(InputError) as refused:
        run(admin, people.app, "invite", email, "--name", "n" * 201)
    assert "name: Enter at most 200 characters" in refusal_text(refused.value)
    with organisation_scope(admin.organisation_id):
        (line,) = csv_import.invite_all(admin, f"{email};{'n' * 201}\n")
        assert (line.invited, "name: Enter at most 200" in line.problem) == (False, True)
        assert not Invitation.objects.exists()


def test_access_is_not_given_to_a_division_that_does_not_exist(admin: Actor, actor: Any) -> None:
    ben = colleague(actor, admin, "user")
    body = {"role": "user", "divisions": [987654]}
    answer = send(admin, "put", f"/people/{ben.membership_id}", body, status=409)
    assert answer["field"] == "divisions"
    with pytest.raises(KoppelError, match="number 987654"):
        run(admin, people.app, "update", ben.membership_id, "--division", "987654")
