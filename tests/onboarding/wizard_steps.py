"""Steps of the tests of the wizard: sign in, choose, identify, and read what came of it."""

from html import unescape
from typing import Any

import pytest

from koppel.administrations.models import Administration
from koppel.connections.models import RemoteCompany
from koppel.kit.tenancy import organisation_scope
from koppel.onboarding.models import Flow
from koppel.organisations.models import Organisation
from koppel.organisations.roles import Actor
from tests.fixtures.first_steps import Newcomer, newcomer, path_of
from tests.fixtures.stack import Sandbox, register_app

KVK = "69599084"


@pytest.fixture
def anna(actor: Any, sandbox: Sandbox) -> Newcomer:
    return newcomer(actor("administrator"), sandbox)


@pytest.fixture
def anna_at_list(anna: Newcomer) -> Newcomer:
    """Anna signed in and sees the list."""
    anna.connect(register_app(anna.sandbox).pk)
    return anna


def colleague_of(anna: Newcomer, actor: Any, role: str) -> Newcomer:
    with organisation_scope(anna.actor.organisation_id):
        firm = Organisation.objects.get(pk=anna.actor.organisation_id)
    return newcomer(actor(role, organisation=firm, name="Piet Jansen"), anna.sandbox)


def read_page_text(response: Any) -> str:
    return unescape(response.content.decode())


def companies(person: Newcomer) -> list[RemoteCompany]:
    with organisation_scope(person.actor.organisation_id):
        return list(RemoteCompany.objects.order_by("name", "pk"))


def newest_flow(person: Newcomer) -> Flow:
    with organisation_scope(person.actor.organisation_id):
        return Flow.objects.get(token=person.flow.strip("/").split("/")[-1])


def imported(actor: Actor) -> list[Administration]:
    with organisation_scope(actor.organisation_id):
        return list(Administration.objects.order_by("name"))


def choose(person: Newcomer, *ids: int) -> Any:
    return person.client.post(f"{person.flow}choose", {"company": [str(key) for key in ids]}, follow=True)


def identify(person: Newcomer, typed: dict[int, dict[str, str]], **more: Any) -> Any:
    fields = {
        f"{name}-{key}": values.get(name, "")
        for key, values in typed.items()
        for name in ("number", "reason", "sector")
    }
    return person.client.post(f"{person.flow}identify", {**fields, **more}, follow=True)


def typed_number(text: str = KVK) -> dict[str, str]:
    return {"number": text}


def numbers_of(ids: list[int]) -> dict[int, dict[str, str]]:
    """A number of its own for each company."""
    return {key: typed_number(str(int(KVK) + at)) for at, key in enumerate(ids)}


def advance_to_assign(person: Newcomer, count: int = 2) -> list[int]:
    """Choose and identify the first companies of the list."""
    with organisation_scope(person.actor.organisation_id):
        RemoteCompany.objects.update(country="NL")
    ids = [company.pk for company in companies(person)[:count]]
    choose(person, *ids)
    assert path_of(identify(person, numbers_of(ids))) == f"{person.flow}assign"
    return ids
