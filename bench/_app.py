"""The environment of engine benchmarks: a durable PostgreSQL, the sandbox, and a consented connection.

Everything is in a temporary folder that is deleted afterwards. Work is done as the application role.
"""

import contextlib
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg

from bench._django import migrate_database
from koppel.kit.database.embedded_postgres import Addresses, EmbeddedPostgres
from tests.fixtures.stack import Connected, Sandbox, register_app, run_sandbox, run_worker

if TYPE_CHECKING:
    from tests.sync.factories import Synced


@dataclass(frozen=True)
class BenchApp:
    """An application with a connection. `superuser_url` gives access to sizes, and to other programs."""

    connected: Connected
    addresses: Addresses

    @property
    def sandbox(self) -> Sandbox:
        return self.connected.sandbox

    def company(self, position: int) -> "Synced":
        """Import the sandbox's company at `position`, without reading it."""
        from tests.sync.factories import import_company

        return import_company(self.connected, position)


@contextlib.contextmanager
def bench_app(*, companies: int, lines: int) -> Iterator[BenchApp]:
    """Start the environment; a company at position 1 of 2 has exactly `lines` entry lines."""
    with tempfile.TemporaryDirectory(prefix="koppel-bench-") as folder:
        home = Path(folder)
        with EmbeddedPostgres(home / "postgres") as server:
            migrate_database(server.addresses, home)
            with run_sandbox(companies=companies, lines=lines) as sandbox:
                yield BenchApp(_connected(sandbox), server.addresses)


@contextlib.contextmanager
def worker(app: BenchApp) -> Iterator["subprocess.Popen[bytes]"]:
    """Start a real `koppel worker`."""
    with run_worker(app.addresses.superuser_url) as process:
        yield process


def entries_import(company: "Synced", timeout_seconds: float = 600) -> int:
    """Request a first sync of the entries, wait until a worker has finished it, and return the run's id."""
    from koppel.kit.tenancy import organisation_scope
    from koppel.sync.models import OPEN_STATES, Run
    from koppel.sync.runs.services import request_run

    organisation = company.actor.organisation_id
    company.settings(resources=["entries"])
    with organisation_scope(organisation):
        request_run(company.actor, company.administration_id)
        run_id = Run.objects.latest("pk").pk
    deadline = time.monotonic() + timeout_seconds
    while time.monotonic() < deadline:
        with organisation_scope(organisation):
            if Run.objects.get(pk=run_id).state not in OPEN_STATES:
                return run_id
        time.sleep(0.2)
    raise RuntimeError("The import took too long.")


def delete_books(app: BenchApp) -> None:
    """Delete the books and checkpoints, as before the first sync."""
    with psycopg.connect(app.addresses.superuser_url) as connection:
        connection.execute(
            "TRUNCATE books_entry, books_entry_line, sync_checkpoint, sync_change, sync_read_key"
        )
        connection.execute("CHECKPOINT")


def _connected(sandbox: Sandbox) -> Connected:
    from koppel.connections.companies.discovery import sync_company_list
    from koppel.connections.consent.attempts import (
        begin_attempt,
        complete_attempt,
        store_authorisation_response,
    )
    from koppel.connections.models import Connection, ConsentPurpose
    from koppel.kit.tenancy import installation_scope, organisation_scope
    from koppel.organisations.models import Membership, Organisation, User
    from koppel.organisations.roles import Actor, Role

    with installation_scope("benchmark"):
        organisation = Organisation.objects.create(name="Benchmark")
        user = User.objects.create_user("bench@example.test", "not used", name="Bench")
        member = Membership.objects.create(organisation=organisation, user=user, role=Role.ADMINISTRATOR)
    actor = Actor(
        organisation_id=organisation.pk,
        membership_id=member.pk,
        user_id=user.pk,
        name=user.name,
        role=Role.ADMINISTRATOR,
    )
    app = register_app(sandbox)
    with organisation_scope(organisation.pk):
        url = begin_attempt(actor, app.pk, ConsentPurpose.CONNECT, "/connections/")
    authorisation_response = sandbox.sign_in(url)
    attempt = store_authorisation_response(authorisation_response)
    assert attempt is not None
    outcome = complete_attempt(actor, attempt)
    sync_company_list(actor, outcome.connection_id)
    with organisation_scope(organisation.pk):
        return Connected(
            actor=actor, app=app, connection=Connection.objects.get(pk=outcome.connection_id), sandbox=sandbox
        )
