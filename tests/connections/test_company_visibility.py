"""Which companies of a connection the page, REST and the command line show, and to whom."""

import json
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from koppel.connections.companies import company_rows
from koppel.connections.companies.changes import mark_unreachable
from koppel.connections.companies.company_rows import list_company_rows
from koppel.connections.health.states import require_reauth
from koppel.connections.models import Grant, RemoteCompany
from koppel.connections.queries import listed_companies
from koppel.connector.errors import NotConsented
from koppel.kit.tenancy import installation_scope, organisation_scope
from koppel.notifications.models import Event
from koppel.notifications.webhooks.message import build_event_message, encode_message
from koppel.organisations.models import Organisation, User
from koppel.organisations.roles import Actor
from tests.administrations.factories import restrict
from tests.connections.factories import import_first, reload_connection
from tests.fixtures.stack import Connected, MakeConnected


@pytest.fixture
def anna(connected: MakeConnected) -> Connected:
    return connected()


@pytest.fixture
def piet(anna: Connected, actor: Any) -> Actor:
    with installation_scope("test"):
        firm = Organisation.objects.get(pk=anna.actor.organisation_id)
    return actor("administrator", firm, "Piet Jansen")  # type: ignore[no-any-return]


def browser_of(person: Actor) -> Client:
    browser = Client()
    browser.force_login(User.objects.get(pk=person.user_id))
    return browser


def test_companies_with_problems_are_answers_first(anna: Connected, monkeypatch: pytest.MonkeyPatch) -> None:
    """Five hundred fit the page; the one that needs somebody is the last by name."""
    monkeypatch.setattr(company_rows, "ROWS_MAX", 2)
    import_first(anna, 4)
    organisation_id = anna.actor.organisation_id
    with organisation_scope(organisation_id):
        last = (
            RemoteCompany.objects.filter(administrations__isnull=False)
            .order_by("-name")
            .values_list("pk", flat=True)[0]
        )
    mark_unreachable(organisation_id, last, NotConsented("no_role", "No role."))
    with organisation_scope(organisation_id):
        rows = list_company_rows(anna.actor, reload_connection(anna))
    assert [row.health for row in rows] == ["unreachable", "ok"]
    assert rows[0].company.pk == last


def test_a_restricted_administration_is_not_named_by_probe_or_timeline(anna: Connected, piet: Actor) -> None:
    """It exists for the people named on it; Piet is an Administrator and is not."""
    (secret,) = import_first(anna, 1)
    organisation_id = anna.actor.organisation_id
    with organisation_scope(organisation_id):
        restrict(anna.actor, secret.pk, [anna.actor.membership_id])
        RemoteCompany.objects.exclude(pk=secret.remote_company_id).update(is_listed=False)
        name = RemoteCompany.objects.get(pk=secret.remote_company_id).name
    root = f"/connections/{anna.connection.pk}/"
    for person, sees in ((anna.actor, True), (piet, False)):
        page = browser_of(person).post(f"{root}probe", follow=True).content.decode()
        assert "The connection works" in page
        assert (f"{name} answered" in page) is sees
        answer = browser_of(person).post(f"/api/v1{root}test").json()
        assert (answer["company"] == name) is sees
    mark_unreachable(organisation_id, secret.remote_company_id, NotConsented("no_role", "No role."))
    with organisation_scope(organisation_id):
        other = RemoteCompany.objects.exclude(pk=secret.remote_company_id).order_by("pk")[0]
        RemoteCompany.objects.filter(pk=other.pk).update(name="Known B.V.")
        lose_grant_of(secret.remote_company_id, other.pk)
    require_reauth(organisation_id, anna.connection.pk, "The consent has expired.")
    with organisation_scope(organisation_id):
        # Neither a new name nor one with a comma brings an old one back.
        former, name = name, "Jansen, Pieters en Zonen"
        RemoteCompany.objects.filter(pk=secret.remote_company_id).update(name=name, legal_name=name)
        (event,) = Event.objects.filter(event_type="connection_partly_lost")
        message = build_event_message(event, (), is_closing=False)
        assert message is not None
        assert message.administrations == []
        assert name not in encode_message(message)
        assert former not in encode_message(message)
    for person, sees in ((anna.actor, True), (piet, False)):
        page = browser_of(person).get(root).content.decode()
        assert ("Lost access to" in page) is sees
        assert "Known B.V." in page
        assert ("1 company" in page) is sees, "counts leave it out too"
        assert (name in page) is sees
        answers = [browser_of(person).get(f"/api/v1{root}events").json()]
        answers += [browser_of(person).get(address).json() for address in ("/api/v1/issues",)]
        for text in (*map(json.dumps, answers), browser_of(person).get("/issues/").content.decode()):
            assert (name in text) is sees
            assert sees or former not in text
        assert "Known B.V." in json.dumps(answers[0])
        assert "Known B.V." in json.dumps(answers[1])


def lose_grant_of(*company_ids: int) -> None:
    """Let these companies have a sign-in of their own, which is lost."""
    grant = Grant.objects.get()
    grant.pk, grant._state.adding = None, True
    grant.subject, grant.invalid_since = f"{grant.subject} of others", timezone.now()
    grant.save()
    RemoteCompany.objects.filter(pk__in=company_ids).update(grant=grant)


def test_a_second_connection_does_not_name_a_restricted_company(anna: Connected, piet: Actor) -> None:
    (secret,) = import_first(anna, 1)
    with organisation_scope(anna.actor.organisation_id):
        restrict(anna.actor, secret.pk, [anna.actor.membership_id])
        company = RemoteCompany.objects.get(pk=secret.remote_company_id)
        second, grant = reload_connection(anna), Grant.objects.get()
        second.pk, second._state.adding, second.account = None, True, "second@example.test"
        second.save()
        grant.pk, grant._state.adding, grant.connection = None, True, second
        grant.save()
        company.pk, company._state.adding, company.connection, company.grant = None, True, second, grant
        company.save()
        assert list(listed_companies(anna.actor, second)) == [company]
        assert list(listed_companies(piet, second)) == []
    for person, sees in ((anna.actor, True), (piet, False)):
        page = browser_of(person).get(f"/connections/?q={company.name}").content.decode()
        assert ("second@example.test" in page) is sees
