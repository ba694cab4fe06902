"""Which companies of a connection the page, REST and the command line show, and to whom."""

from typing import Any

import pytest
from django.test import Client

from koppel.connections.companies import company_rows
from koppel.connections.companies.changes import mark_unreachable
from koppel.connections.companies.company_rows import list_company_rows
from koppel.connections.health.timeline import start_timeline_event
from koppel.connections.models import RemoteCompany
from koppel.connector.errors import NotConsented
from koppel.kit.tenancy import installation_scope, organisation_scope
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


def test_companies_with_problems_are_shown_first(anna: Connected, monkeypatch: pytest.MonkeyPatch) -> None:
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
        start_timeline_event(reload_connection(anna), "partly_lost", {"companies": f"{name}, Known B.V."})
    for person, sees in ((anna.actor, True), (piet, False)):
        page = browser_of(person).get(root).content.decode()
        assert ("Lost access to" in page) is sees
        assert "Known B.V." in page
        assert ("1 company" in page) is sees, "counts leave it out too"
        assert (name in page) is sees
        assert (name in browser_of(person).get(f"/api/v1{root}events").content.decode()) is sees
