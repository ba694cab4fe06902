"""A confirmation applies only to the values that were shown."""

import json
import re
from typing import Any

import pytest
from django.test import Client
from typer.testing import CliRunner

from koppel.administrations.models import Administration
from koppel.audit.subjects import Subject, SubjectKind
from koppel.connections.commands.connections import app as shell
from koppel.connections.models import RemoteCompany
from koppel.issues.models import Issue
from koppel.issues.services import raise_issue
from koppel.kit.tenancy import organisation_scope
from koppel.organisations.access import api_tokens
from koppel.organisations.models import User
from tests.connections.factories import import_first
from tests.fixtures.people import signed_in
from tests.fixtures.stack import Connected, MakeConnected

RENAMED = "company_renamed"


def raise_renamed_issue(connected: Connected, administration: Administration, new: str) -> None:
    """The accounting system calls the company by this name; a listing has noticed."""
    facts = {
        "field": "name",
        "old": administration.name,
        "new": new,
        "name": administration.name,
        "connection": connected.connection.pk,
    }
    with organisation_scope(connected.actor.organisation_id):
        raise_issue(
            connected.actor.organisation_id,
            RENAMED,
            Subject(SubjectKind.ADMINISTRATION, administration.pk),
            facts,
        )


def confirmed_name(connected: Connected, administration: Administration) -> str:
    with organisation_scope(connected.actor.organisation_id):
        return RemoteCompany.objects.get(pk=administration.remote_company_id).confirmed_name


def is_open(connected: Connected) -> bool:
    with organisation_scope(connected.actor.organisation_id):
        return Issue.objects.filter(code=RENAMED, resolved_at=None).exists()


@pytest.mark.parametrize("accept", ["1", "0"])
def test_an_answer_on_a_stale_page_confirms_nothing(connected: MakeConnected, accept: str) -> None:
    anna = connected()
    (administration,) = import_first(anna)
    page, browser = f"/connections/{anna.connection.pk}/", signed_in(anna.actor)
    before = confirmed_name(anna, administration)
    raise_renamed_issue(anna, administration, f"{administration.name} Holding")

    def answer() -> str:
        (fingerprint,) = re.findall(r'name="fingerprint" value="(\w+)"', text)
        form = {
            "administration": administration.pk,
            "code": RENAMED,
            "accept": accept,
            "fingerprint": fingerprint,
        }
        return browser.post(f"{page}change", form, follow=True).content.decode()

    text = browser.get(page).content.decode()
    raise_renamed_issue(anna, administration, "Evil Corp")
    assert "The accounting system has changed since" in answer()
    assert (confirmed_name(anna, administration), is_open(anna)) == (before, True)
    text = browser.get(page).content.decode()
    assert "Evil Corp" in text
    answer()
    assert (confirmed_name(anna, administration), is_open(anna)) == ("Evil Corp", False)


@pytest.mark.parametrize("interface", ["rest", "shell"])
def test_a_stale_answer_over_rest_confirms_nothing(
    connected: MakeConnected, monkeypatch: pytest.MonkeyPatch, interface: str
) -> None:
    anna = connected()
    (administration,) = import_first(anna)
    before = confirmed_name(anna, administration)
    raise_renamed_issue(anna, administration, f"{administration.name} Holding")
    monkeypatch.setenv("KOPPEL_AS", User.objects.get(pk=anna.actor.user_id).email)
    with organisation_scope(anna.actor.organisation_id):
        _token, secret = api_tokens.create_token(
            anna.actor, name="watch", days=30, role=None, read_only=False
        )
    program = Client(headers={"Authorization": f"Bearer {secret.reveal()}"})
    address, number = f"/api/v1/connections/{anna.connection.pk}/changes", str(anna.connection.pk)

    def run(*words: str) -> Any:
        return CliRunner().invoke(shell, [*words, "--json"])

    def fingerprint() -> str:
        rows = (
            program.get(address).json()
            if interface == "rest"
            else json.loads(run("changes", number).stdout.splitlines()[-1])
        )
        return str(rows[0]["fingerprint"])

    def settles(fingerprint: str) -> bool:
        if interface == "shell":
            return (
                run(
                    "resolve", number, "--code", RENAMED, "--accept", "--all", "--fingerprint", fingerprint
                ).exit_code
                == 0
            )
        body = {
            "administrations": [administration.pk],
            "code": RENAMED,
            "accept": True,
            "fingerprints": [fingerprint],
        }
        return program.post(address, json.dumps(body), content_type="application/json").status_code == 200

    old = fingerprint()
    raise_renamed_issue(anna, administration, "Evil Corp")
    assert not settles(old)
    assert (confirmed_name(anna, administration), is_open(anna)) == (before, True)
    assert settles(fingerprint())
    assert (confirmed_name(anna, administration), is_open(anna)) == ("Evil Corp", False)
