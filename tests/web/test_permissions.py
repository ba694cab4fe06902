"""Every route in every role, and as a member of another organisation.

The results are compared with docs/permissions.md. A new route fails here until the table has its row;
CONTRIBUTING.md describes how to add it.
"""

import json
import re
import uuid
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

import psycopg
import pytest
from django.test import Client
from django.urls import resolve
from psycopg import sql

from koppel.kit.database.embedded_postgres import Addresses
from koppel.kit.tenancy import organisation_scope
from koppel.organisations.access import api_tokens
from koppel.organisations.models import Organisation, User
from koppel.organisations.roles import Actor, Role
from koppel.web.permission_matrix import TABLE, Route, permissions_by_route, routes
from tests.web.factories import IMPORT, World, build_world

pytestmark = pytest.mark.slow

FROM_LEAST = tuple(reversed(list(Role)))
WHO = {"anybody": None, "member": Role.READER, **{str(role.label): role for role in FROM_LEAST[1:]}}
"""The words of the table, and the least role each stands for."""
HOW = (
    "Run `python -m koppel.web.permission_matrix` for the rows, then write who comes in; see CONTRIBUTING.md."
)


@pytest.fixture
def world(actor: Any, settings: Any) -> World:
    settings.STYLEGUIDE = True  # else it is not there
    return build_world(actor)


def samples(world: World) -> dict[str, Any]:
    """What stands in an address for each `{word}`.

    A word that is not here gets a number or text of nothing.
    """
    return {
        "administration_id": world.active.pk,
        "connection_id": world.active.connection_id,
        "division_id": world.division.pk,
        "template_id": world.template.pk,
        "membership_id": world.bystander.membership_id,
        "import_id": IMPORT,
        "webhook_id": world.webhook_id,
        "resource": "accounts",
        "pk": 987654,
        "token": uuid.UUID(int=1),
    }


FORMS: dict[str, dict[str, Any]] = {
    "/api/v1/administrations/{administration_id}/access": {"restricted": True},
    "/api/v1/administrations/{administration_id}/offboarding": {
        "client_left_on": "2026-01-01",
        "erase_on": "2026-01-02",
    },
    "/api/v1/administrations/{administration_id}/predecessor": {"administration": None},
    "/api/v1/administrations/{administration_id}/settings": {"values": {}},
    "/api/v1/administrations/{administration_id}/withdraw": {"name": "not its name"},
    "/api/v1/divisions": {"name": ""},
    "/api/v1/divisions/{division_id}": {"name": ""},
    "/api/v1/divisions/{division_id}/merge": {"into": 0},
    "/api/v1/email-domains": {"domain": ""},
    "/api/v1/people/invitations": {"email": ""},
    "/api/v1/people/{membership_id}": {"role": "administrator", "active": False},
    "/api/v1/people/{membership_id}/hand-over": {"to": 0},
    "/api/v1/templates": {"name": ""},
    "/api/v1/templates/{template_id}": {"name": ""},
    "/api/v1/templates/{template_id}/effects": {"name": ""},
    "/api/v1/templates/{template_id}/merge": {"into": 0},
    "/api/v1/connections/{connection_id}/owner": {"member": 0},
    "/api/v1/webhooks": {"name": "", "url": ""},
    "/api/v1/webhooks/{webhook_id}": {"name": "", "url": ""},
    "/api/v1/connections/{connection_id}/import-policy": {"policy": "all"},
    "/api/v1/connections/{connection_id}/removal": {"policy": "wait", "fingerprint": "another day"},
}
"""For doors that look at the form before they ask who is there."""


def test_every_route_has_its_row_and_every_row_its_route() -> None:
    existing, written = routes(), permissions_by_route(TABLE.read_text()).keys()
    assert sorted(f"{one.method} {one.path}" for one in existing - written) == [], f"Without a row. {HOW}"
    assert sorted(f"{one.method} {one.path}" for one in written - existing) == [], f"Without a route. {HOW}"


def test_permissions_of_pages_match_the_table(world: World) -> None:
    written = permissions_by_route(TABLE.read_text())
    probe = RouteProbe(world)
    wrong = [
        f"{route.method} {route.path}: the table says {who}, but it lets in: {seen}"
        for route, who in sorted(written.items())
        if (seen := probe.least_admitted_role(route)) != who
    ]
    assert not wrong + probe.broken, "\n".join(wrong + probe.broken)


def test_permissions_are_checked_before_the_body(world: World) -> None:
    """Not even which fields there are: 403 comes before 422."""
    probe = RouteProbe(world)
    wrong = [
        f"{route.method} {route.path} tells {role} {answer.status_code}: {answer.text_read[:200]}"
        for route, who in sorted(permissions_by_route(TABLE.read_text()).items())
        if route.path.startswith("/api/v1/") and route.method != "GET" and WHO.get(who) is not None
        for role in FROM_LEAST[: FROM_LEAST.index(WHO[who])]
        for answer in [probe.send_json(world.people[role], route, {"rubbish": 1})]
        if answer.status_code != HTTPStatus.FORBIDDEN
    ]
    assert not wrong, "Put `@permission_required(permission)` on the operation.\n" + "\n".join(wrong)


def test_objects_of_another_organisation_do_not_exist(
    world: World, actor: Any, database_addresses: Addresses
) -> None:
    stranger = actor("administrator", name="Vreemde")
    with organisation_scope(stranger.organisation_id):
        Organisation.objects.update(name="Elders")
    secrets = re.compile("|".join(map(re.escape, secrets_of(world))))
    before = dict(fingerprints(database_addresses, world.admin.organisation_id))
    assert len(before) > 10
    leaked, probe = [], RouteProbe(world)
    for route in sorted(routes()):
        form = foreign_id_form(world)
        answer = probe.request(
            stranger, route, form if route.method != "GET" else probe.taken_by(route, form)
        )
        if secrets.search(answer.text_read):
            leaked.append(f"{route.method} {route.path}: {secrets.search(answer.text_read)}")
    assert leaked == []
    after = dict(fingerprints(database_addresses, world.admin.organisation_id))
    assert {table for table in before | after if before.get(table) != after.get(table)} == set()


class RouteProbe:
    """Knocks at doors as anybody; a program's door with a token, a page's with a session."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.broken: list[str] = []
        self._tokens: dict[int, str] = {}
        self._sessions: dict[int, str] = {}

    def least_admitted_role(self, route: Route) -> str:
        """In the words of the table; a sentence when a lesser role gets where a greater one does not."""
        if self._is_admitted(None, route):
            return "anybody"
        let_in = [role for role in FROM_LEAST if self._is_admitted(self.world.people[role], route)]
        if not let_in:
            return "nobody"
        if let_in != list(FROM_LEAST[FROM_LEAST.index(let_in[0]) :]):
            return f"only {', '.join(let_in)}"
        return next(word for word, role in WHO.items() if role == let_in[0])

    def request(self, actor: Actor | None, route: Route, form: dict[str, Any] | None = None) -> Any:
        path = self._address(route)
        is_program = actor is not None and path.startswith("/api/")
        if route.method in ("GET", "POST") and not (is_program and route.method == "POST"):
            client = self._client(actor, path)
            return read(
                getattr(client, route.method.lower())(path, form or {}, headers=self._headers(actor, path))
            )
        return self.send_json(actor, route, FORMS.get(route.path, {}))

    def send_json(self, actor: Actor | None, route: Route, body: dict[str, Any]) -> Any:
        path = self._address(route)
        client, headers = self._client(actor, path), self._headers(actor, path)
        text = json.dumps(body)
        return read(
            client.generic(route.method, path, text, content_type="application/json", headers=headers)
        )

    def taken_by(self, route: Route, form: dict[str, Any]) -> dict[str, Any]:
        """What of a form the page takes as a query: with anything else it would refuse before it looks."""
        parameters = getattr(resolve(self._address(route)).func, "koppel_parameters", {})
        return {name: value for name, value in form.items() if name in parameters}

    def _is_admitted(self, actor: Actor | None, route: Route) -> bool:
        answer = self.request(actor, route, FORMS.get(route.path))
        if answer.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR:
            who = actor.role if actor else "nobody"
            self.broken.append(f"{route.method} {route.path}: answers {answer.status_code} to {who}")
        asks = answer.headers.get("Location", "").startswith("/accounts/login/?next=")
        return not asks and answer.status_code not in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)

    def _address(self, route: Route) -> str:
        sample_values = samples(self.world)

        def sample(word: re.Match[str]) -> str:
            return str(sample_values.get(word[1], "987654" if word[1].endswith("_id") else "nothing"))

        path = re.sub(r"\{(\w+)\}", sample, route.path)
        resolve(path)  # raises when a sample does not fit: add one to `samples`
        return path

    def _client(self, actor: Actor | None, path: str) -> Client:
        """Signed in unless the door is a program's. Pages about signing in get a session to spoil."""
        client = Client(raise_request_exception=False)
        if actor is None or path.startswith("/api/"):
            return client
        if actor.user_id not in self._sessions or path.startswith("/accounts/"):
            client.force_login(User.objects.get(pk=actor.user_id))
            if path.startswith("/accounts/"):
                return client
            self._sessions[actor.user_id] = client.cookies["koppel_session"].value
        client.cookies["koppel_session"] = self._sessions[actor.user_id]
        return client

    def _headers(self, actor: Actor | None, path: str) -> dict[str, str]:
        if actor is None or not path.startswith("/api/"):
            return {}
        return {"Authorization": f"Bearer {self._token(actor)}"}

    def _token(self, actor: Actor) -> str:
        if actor.user_id not in self._tokens:
            with organisation_scope(actor.organisation_id):
                created = api_tokens.create_token(actor, name="Walk", days=30, role=None, read_only=False)
                self._tokens[actor.user_id] = created[1].reveal()
        return self._tokens[actor.user_id]


def read(answer: Any) -> Any:
    """Read to the end, also what is streamed, so that no file stays open behind it."""
    answer.text_read = b"".join(answer).decode(errors="replace")
    answer.close()
    return answer


def secrets_of(world: World) -> list[str]:
    """Texts that only this organisation may read."""
    emails = User.objects.filter(pk__in=[one.user_id for one in world.people.values()]).values_list(
        "email", flat=True
    )
    return [world.active.name, world.configuring.name, world.division.name, *emails]


def foreign_id_form(world: World) -> dict[str, Any]:
    """A form and a query that name the other organisation's rows in every way that our forms do."""
    ids = [world.active.pk, world.configuring.pk]
    return {
        "id": ids,
        "ids": ids,
        "administrations": ids,
        "administration": ids[0],
        "import": IMPORT,
        "name": "Lured",
        "division": world.division.pk,
        "divisions": world.division.pk,
        "template": world.template.pk,
        "role": "reader",
        "user": world.admin.membership_id,
        "users": world.admin.membership_id,
        "action": "deactivate",
        "archived": "1",
        "connection": world.active.connection_id,
        "schedule": "off",
        "is_favourite": "1",
        "email": "lured@example.test",
    }


def fingerprints(addresses: Addresses, organisation_id: int) -> Iterator[tuple[str, str]]:
    """(table, digest of the organisation's rows), past the policies."""
    tables = (
        "SELECT table_name FROM information_schema.columns "
        "JOIN information_schema.tables USING (table_schema, table_name)"
        " WHERE table_schema = 'public' AND column_name = 'organisation_id' AND table_type = 'BASE TABLE'"
    )
    digest = "SELECT md5(string_agg(t::text, '|' ORDER BY t::text)) FROM {} t WHERE organisation_id = %s"
    with psycopg.connect(addresses.superuser_url) as connection:
        for (table,) in connection.execute(tables).fetchall():
            row = connection.execute(
                sql.SQL(digest).format(sql.Identifier(table)), [organisation_id]
            ).fetchone()
            if row and row[0]:
                yield table, row[0]
