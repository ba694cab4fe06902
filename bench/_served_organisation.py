"""An organisation with thousands of administrations on an embedded PostgreSQL, served by `koppel web`."""

import contextlib
import http.client
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench._django import migrate_database
from koppel.kit.database.embedded_postgres import EmbeddedPostgres, choose_free_port

PEOPLE = 12


@dataclass(frozen=True, kw_only=True)
class ServedOrganisation:
    """A served organisation. `get` requests a page over a kept connection, signed in as an Administrator."""

    organisation: Any
    port: int
    cookie: str

    def connection(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)

    def get(self, connection: http.client.HTTPConnection, path: str) -> bytes:
        """Return the body of a page. Raises `RuntimeError` unless the status is 200."""
        connection.request("GET", path, headers={"Cookie": self.cookie, "Host": f"localhost:{self.port}"})
        answer = connection.getresponse()
        body = answer.read()
        if answer.status != 200:
            raise RuntimeError(f"{path}: {answer.status} {answer.headers.get('Location', '')}")
        return body


@contextlib.contextmanager
def organisation_in_database(count: int) -> Iterator[Any]:
    """Set Django up with an organisation of `count` administrations and fresh statistics."""
    with tempfile.TemporaryDirectory(prefix="koppel-bench-") as folder:
        home = Path(folder)
        with EmbeddedPostgres(home / "postgres") as server:
            migrate_database(server.addresses, home)
            from django.db import connections

            organisation = _create_organisation(count)
            with connections["owner"].cursor() as cursor:
                cursor.execute("ANALYZE")
            try:
                yield organisation
            finally:
                connections.close_all()


@contextlib.contextmanager
def served_organisation(count: int) -> Iterator[ServedOrganisation]:
    with organisation_in_database(count) as organisation, served_web() as port:
        yield ServedOrganisation(
            organisation=organisation, port=port, cookie=signed_in(organisation.admin.user_id)
        )


@contextlib.contextmanager
def served_web() -> Iterator[int]:
    """Run a real `koppel web`; yield its port."""
    port = choose_free_port()
    command = [sys.executable, "-m", "koppel.cli", "web", "--port", str(port)]
    process = subprocess.Popen(command, env={**os.environ, "KOPPEL_PUBLIC_URL": f"http://localhost:{port}"})
    try:
        _wait_for(port)
        yield port
    finally:
        process.terminate()
        process.wait(20)


def _create_organisation(count: int) -> Any:
    from koppel.kit.tenancy import installation_scope
    from koppel.organisations.models import Membership, Organisation, User
    from koppel.organisations.roles import Actor, Role
    from tests.administrations.factories import create_firm

    with installation_scope("bench"):
        organisation = Organisation.objects.create(name="Kantoor Groot")
        members = []
        for number in range(PEOPLE):
            role = Role.ADMINISTRATOR if number < 2 else Role.USER
            user = User.objects.create_user(f"p{number}@example.test", None, name=f"Persoon {number:02}")
            members.append(Membership.objects.create(organisation=organisation, user=user, role=role))
    admin = Actor(
        organisation_id=organisation.pk,
        membership_id=members[0].pk,
        user_id=members[0].user_id,
        name="Persoon 00",
        role=Role.ADMINISTRATOR,
    )
    return create_firm(admin, count, [one.pk for one in members])


def signed_in(user_id: int) -> str:
    """Return the cookie of a new session."""
    from django.conf import settings
    from django.test import Client

    from koppel.organisations.models import User

    client = Client()
    client.force_login(User.objects.get(pk=user_id))
    return f"{settings.SESSION_COOKIE_NAME}={client.cookies[settings.SESSION_COOKIE_NAME].value}"


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
            connection.request("GET", "/healthz")
            if connection.getresponse().status == 200:
                return
        time.sleep(0.2)
    raise RuntimeError("The web does not answer.")
