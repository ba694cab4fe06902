"""Administrations over REST and from the command line."""

import json
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from typer.testing import CliRunner

from koppel.administrations.commands import app
from koppel.administrations.models import Administration, BulkOperation
from koppel.audit.models import AuditEntry
from koppel.kit.tenancy import organisation_scope
from koppel.organisations.models import User
from koppel.organisations.roles import Actor
from tests.administrations.factories import Firm, create_firm
from tests.administrations.test_bulk import colleague
from tests.administrations.test_list import browser_of

ROOT = "/api/v1/administrations"


@pytest.fixture
def firm(actor: Any) -> Firm:
    return create_firm(actor("administrator"), 12)


def send(client: Client, method: str, path: str, body: Any = None, status: int = 200) -> Any:
    answer = client.generic(method, path, json.dumps(body) if body is not None else "", "application/json")
    assert answer.status_code == status, answer.content.decode()
    return answer.json() if answer.content else None


def test_the_list_over_rest_filters_and_sorts_as_the_page_does(firm: Firm) -> None:
    client = browser_of(firm.admin)
    listed = send(
        client, "GET", f"{ROOT}?status=active&status=blocked&division={firm.divisions[0]}&sort=-name&limit=2"
    )
    names = [one["name"] for one in listed["items"]]
    assert names == sorted(names, reverse=True)
    assert listed["total"] >= len(names) == 2
    assert send(client, "GET", f"{ROOT}?q=V00003")["items"][0]["code"] == "V00003"
    assert send(client, "GET", f"{ROOT}?issues=any")["total"] == 2


def test_one_administration_is_changed_restricted_and_linked_over_rest(firm: Firm, actor: Any) -> None:
    admin = firm.admin
    client, administration_id, other = browser_of(admin), *firm.ids[:2]
    anna = colleague(actor, admin, "user")
    payload = {"client_number": "C-9", "division": None, "add": [anna.membership_id]}
    assert send(client, "PATCH", f"{ROOT}/{administration_id}", payload)["client_number"] == "C-9"
    assert send(client, "GET", f"{ROOT}/{administration_id}")["division"] is None
    settings = send(
        client, "PATCH", f"{ROOT}/{administration_id}/settings", {"values": {"schedule": "night"}}
    )
    assert (settings["effective_values"]["schedule"], settings["sources"]["schedule"]) == (
        "night",
        "administration",
    )
    assert (
        send(client, "PATCH", f"{ROOT}/{administration_id}/settings", {"values": {"schedule": None}})[
            "values"
        ]
        == {}
    )
    send(client, "PUT", f"{ROOT}/{administration_id}/favourite", status=204)
    assert send(client, "GET", f"{ROOT}?favourites=true")["total"] == 1
    assert (
        send(client, "PUT", f"{ROOT}/{administration_id}/predecessor", {"administration": other})[
            "predecessor"
        ]
        == other
    )
    send(client, "PUT", f"{ROOT}/{other}/predecessor", {"administration": administration_id}, status=409)
    left = {"client_left_on": "2026-01-01", "erase_on": "2099-01-01"}
    assert send(client, "PUT", f"{ROOT}/{other}/offboarding", left)["status"] == "deactivated"
    assert send(client, "DELETE", f"{ROOT}/{other}/offboarding")["erase_on"] is None
    send(
        client,
        "PUT",
        f"{ROOT}/{administration_id}/access",
        {"restricted": True, "people": [anna.membership_id]},
        status=204,
    )
    send(client, "GET", f"{ROOT}/{administration_id}", status=404)
    assert send(client, "GET", f"{ROOT}/restricted")[0]["id"] == administration_id
    send(client, "POST", f"{ROOT}/{other}/withdraw", {"name": "another"}, status=409)
    with organisation_scope(admin.organisation_id):
        name = Administration.objects.get(pk=other).name
    send(client, "POST", f"{ROOT}/{other}/withdraw", {"name": name}, status=204)
    assert send(client, "GET", ROOT)["total"] == 10


def test_bulk_work_over_rest_is_previewed_started_and_undone(firm: Firm) -> None:
    client = browser_of(firm.admin)
    payload = {"action": "change", "params": {"sector": "Q"}, "filter": "status=active"}
    draft = send(client, "POST", f"{ROOT}/bulk", payload, status=201)
    assert (draft["state"], draft["counts"]["changed"]) == ("draft", 0)
    done = send(client, "POST", f"{ROOT}/bulk/{draft['id']}/start")
    assert (done["state"], done["counts"]["waiting"], done["can_undo"]) == ("done", 0, True)
    items = send(client, "GET", f"{ROOT}/bulk/{draft['id']}/items?state=changed")
    assert {one["after"]["columns"]["sector"] for one in items} == {"Q"}
    assert send(client, "POST", f"{ROOT}/bulk/{draft['id']}/undo")["state"] == "undone"
    assert send(client, "GET", f"{ROOT}/bulk")[0]["id"] == draft["id"]
    send(client, "POST", f"{ROOT}/bulk", {"action": "explode", "filter": ""}, status=409)


def test_divisions_and_templates_over_rest(firm: Firm) -> None:
    client = browser_of(firm.admin)
    created = send(
        client,
        "POST",
        "/api/v1/divisions",
        {"name": "Nieuw", "people": [firm.admin.membership_id]},
        status=201,
    )
    assert created["people"] == 1
    moved = send(client, "POST", f"/api/v1/divisions/{firm.divisions[0]}/merge", {"into": created["id"]})
    assert moved["administrations"] == 3
    template = firm.templates[0]
    payload = {"name": "Standard", "settings": {"schedule": "night"}}
    effects = send(client, "POST", f"/api/v1/templates/{template}/effects", payload)
    assert (effects["changed"], effects["differences"][0]["key"]) == (4, "schedule")
    assert send(client, "PUT", f"/api/v1/templates/{template}", payload)["settings"] == {"schedule": "night"}
    send(
        client,
        "PUT",
        f"/api/v1/templates/{template}",
        {**payload, "settings": {"schedule": "never"}},
        status=409,
    )


def run(actor: Actor, *words: str, code: int = 0) -> Any:
    email = User.objects.get(pk=actor.user_id).email
    outcome = CliRunner().invoke(app, [*words, "--as", email, "--json"])
    assert outcome.exit_code == code, outcome.output or outcome.exception
    return json.loads(outcome.stdout.splitlines()[-1]) if code == 0 else str(outcome.exception)


def test_the_shell_lists_shows_assigns_undoes_and_deactivates(firm: Firm) -> None:
    admin, administration_id = firm.admin, str(firm.ids[3])
    assert len(run(admin, "list", "--filter", "status=active")) == 12
    record = run(admin, "show", administration_id)
    assert record["settings"]["schedule"] == {"value": "daily", "source": "default"}
    settings = run(
        admin, "settings", administration_id, "--set", "schedule=night", "--set", 'resources=["accounts"]'
    )
    assert (settings["schedule"], settings["resources"]["value"]) == (
        {"value": "night", "source": "administration"},
        ["accounts"],
    )
    assert run(admin, "settings", administration_id, "--reset", "schedule")["schedule"]["source"] == "default"
    assert "key=value" in run(admin, "settings", administration_id, "--set", "night", code=1)
    assert run(admin, "favourite", administration_id)["changed"] == 1
    assert len(run(admin, "list", "--filter", "favourites=1")) == 1
    assert run(admin, "unfavourite", administration_id)["changed"] == 1
    assert run(admin, "set-predecessor", administration_id, str(firm.ids[4]))["predecessor"] == firm.ids[4]
    assert "already linked as a continuation of this one" in run(
        admin, "set-predecessor", str(firm.ids[4]), administration_id, code=1
    )
    preview = run(admin, "assign", administration_id, "--division", str(firm.divisions[0]), "--dry-run")
    assert (preview["state"], preview["would_change"]) == ("draft", 1)
    done = run(admin, "assign", administration_id, "--division", str(firm.divisions[0]))
    assert (done["state"], done["changed"]) == ("done", 1)
    assert run(admin, "undo", str(done["operation"]))["undone"] == 1
    assert run(admin, "deactivate", "--all", "--reason", "Dicht")["changed"] == 12
    assert run(admin, "activate", administration_id)["changed"] == 1
    assert "--all if you mean all" in run(admin, "activate", code=1)
    assert "--yes" in run(admin, "withdraw", administration_id, code=1)
    with organisation_scope(admin.organisation_id):
        assert AuditEntry.objects.filter(action="administrations.deactivated", interface="cli").exists()


def test_the_shell_reads_a_csv_and_writes_the_list(firm: Firm, tmp_path: Path) -> None:
    admin = firm.admin
    file = tmp_path / "numbers.csv"
    file.write_bytes("sep=,\r\ncode,client number\r\nV00001,Één\r\nV00002,K2\r\n".encode("cp1252"))
    assert run(admin, "import-csv", str(file))["changed"] == 2
    file.write_text('code;client number\n"V00001;K1\n')
    assert "Line 2 could not be read as a table row." in run(admin, "import-csv", str(file), code=1)
    file.write_text("code;client number\nV00001;K1\nV99999;K2\n")
    assert "line 3" in run(admin, "import-csv", str(file), code=1)
    file.write_text("code;client number\nV00001;K1\nV00001;K3\n" + "x;1\n" * 30)
    assert "and 12 more" in run(admin, "import-csv", str(file), "--dry-run", code=1)
    file.write_bytes(b"%PDF-1.7")
    assert "This is a PDF, not a CSV file." in run(admin, "import-csv", str(file), code=1)
    assert "Is a directory." in run(admin, "import-csv", str(tmp_path), code=1)
    out = tmp_path / "list.csv"
    assert run(admin, "export", "--filter", "q=k2&columns=name.client", "--out", str(out))["bytes"] > 0
    assert out.read_text("utf-8-sig").splitlines()[1].endswith(",K2")
    with organisation_scope(admin.organisation_id):
        assert BulkOperation.objects.exclude(state="done").count() == 0


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("patch", "administrations/{id}", {"client_number": "x" * 100}),
        ("patch", "administrations/{id}/settings", {"values": {"resources": 5}}),
        ("patch", "administrations/{id}/settings", {"values": {"resources": [["accounts"]]}}),
        ("post", "templates", {"name": "New", "settings": {"resources": None}}),
        ("post", "administrations/bulk", {"action": "change", "ids": [1], "params": {"add": ["x"]}}),
        ("post", "administrations/bulk", {"action": "change", "ids": [1], "params": {"add": 5}}),
        ("post", "administrations/bulk", {"action": "change", "ids": [1], "params": {"division": "x"}}),
        ("post", "administrations/bulk", {"action": "change", "ids": [1], "params": {"reason": ["x"]}}),
        ("post", "administrations/bulk", {"action": "change", "ids": [1], "params": {"number": 5}}),
        ("post", "administrations/bulk", {"action": "change", "ids": [2**70], "params": {"sector": "A"}}),
    ],
)
def test_invalid_rest_input_is_refused_by_name(
    firm: Firm, method: str, path: str, body: dict[str, Any]
) -> None:
    client = browser_of(firm.admin)
    address = f"/api/v1/{path.format(id=firm.ids[0])}"
    answer = getattr(client, method)(address, body, content_type="application/json")
    assert answer.status_code in (404, 409), answer.content
    assert answer.json().get("message") or answer.json()["error"] == "not_found"


def test_null_clears_a_text(firm: Firm) -> None:
    client, address = browser_of(firm.admin), f"/api/v1/administrations/{firm.ids[1]}"
    assert send(client, "get", address)["client_number"]
    assert send(client, "patch", address, {"client_number": None})["client_number"] == ""
