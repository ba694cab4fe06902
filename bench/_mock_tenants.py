"""The environment of benchmarks with many administrations and several workers.

A durable PostgreSQL, the sandbox over HTTP, organisations with consent, and real `koppel worker` processes.
Everything is deleted afterwards.
"""

import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg

from bench._django import migrate_database
from koppel.kit.database.embedded_postgres import Addresses, EmbeddedPostgres
from tests.fixtures.stack import Sandbox, register_app, run_sandbox

if TYPE_CHECKING:
    from koppel.connections.models import AppRegistration
    from koppel.organisations.roles import Actor


@dataclass(frozen=True)
class MockTenant:
    """An organisation with one connection to all companies of the sandbox."""

    actor: "Actor"
    connection_id: int

    def import_all(self, *, first: int = 0, last: int | None = None) -> list[int]:
        """Import the companies from `first` up to `last`; return the ids of the administrations.

        Their first runs are queued.
        """
        from koppel.administrations.services import NewAdministration, import_companies
        from koppel.connections.models import RemoteCompany
        from koppel.kit.tenancy import organisation_scope
        from koppel.sync.runs.services import request_first_runs

        with organisation_scope(self.actor.organisation_id):
            queryset = RemoteCompany.objects.filter(connection_id=self.connection_id).order_by("pk")
            requested = [
                NewAdministration(remote_company_id=company_id)
                for company_id in queryset.values_list("pk", flat=True)[first:last]
            ]
            ids = import_companies(self.actor, self.connection_id, 1, requested)
            request_first_runs(self.actor, ids)
        return ids

    def sync(self, ids: list[int], *, full: bool = False) -> int:
        """Queue a run for each administration without an open one."""
        from koppel.kit.tenancy import organisation_scope
        from koppel.sync.models import Trigger
        from koppel.sync.runs.services import _queue_runs

        with organisation_scope(self.actor.organisation_id):
            return _queue_runs(self.actor.organisation_id, ids, Trigger.SCHEDULE, "", full=full)


@dataclass(frozen=True, kw_only=True)
class BenchmarkEnvironment:
    sandbox: Sandbox
    addresses: Addresses
    app: "AppRegistration"

    def add_tenant(self, name: str, **settings: Any) -> MockTenant:
        """Create an organisation with these `settings`, with a connection."""
        from koppel.connections.companies.discovery import sync_company_list
        from koppel.connections.consent.attempts import (
            begin_attempt,
            complete_attempt,
            store_authorisation_response,
        )
        from koppel.connections.models import ConsentPurpose
        from koppel.kit.tenancy import installation_scope, organisation_scope
        from koppel.organisations.models import Membership, Organisation, User
        from koppel.organisations.roles import Actor, Role

        with installation_scope("benchmark"):
            organisation = Organisation.objects.create(name=name, settings=settings)
            user = User.objects.create_user(f"{name}@example.test", "not used", name=name)
            member = Membership.objects.create(organisation=organisation, user=user, role=Role.ADMINISTRATOR)
        actor = Actor(
            organisation_id=organisation.pk,
            membership_id=member.pk,
            user_id=user.pk,
            name=user.name,
            role=Role.ADMINISTRATOR,
        )
        with organisation_scope(organisation.pk):
            url = begin_attempt(actor, self.app.pk, ConsentPurpose.CONNECT, "/connections/")
        authorisation_response = self.sandbox.sign_in(url)
        attempt = store_authorisation_response(authorisation_response)
        assert attempt is not None
        outcome = complete_attempt(actor, attempt)
        sync_company_list(actor, outcome.connection_id)
        self.execute("DELETE FROM procrastinate_jobs")  # companies need no description here
        return MockTenant(actor, outcome.connection_id)

    @contextlib.contextmanager
    def workers(self, count: int, *arguments: str) -> Iterator[list[subprocess.Popen[bytes]]]:
        """Start workers, and wait until all are ready."""
        command = [sys.executable, "-m", "koppel.cli", "worker", *arguments]
        log = Path(os.environ["KOPPEL_DATA_DIR"]) / "workers.log"
        log.parent.mkdir(exist_ok=True)
        with log.open("ab") as words:
            running = [
                subprocess.Popen(command, env=dict(os.environ), stderr=words) for _worker in range(count)
            ]
            try:
                listening = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'koppel locks'"
                self.wait(f"SELECT ({listening}) >= {count}", 120)
                yield running
            finally:
                for process in running:
                    process.kill()
                    process.wait()

    def execute(self, statement: str) -> None:
        with psycopg.connect(self.addresses.superuser_url, autocommit=True) as connection:
            connection.execute(statement.encode())

    def value(self, question: str) -> Any:
        with psycopg.connect(self.addresses.superuser_url, autocommit=True) as connection:
            row = connection.execute(question.encode()).fetchone()
            return row[0] if row else None

    def wait(self, question: str, seconds: float, *, interval_seconds: float = 0.2) -> float:
        """Wait until the query returns true; return the seconds. Raises `TimeoutError`."""
        began = time.monotonic()
        with psycopg.connect(self.addresses.superuser_url, autocommit=True) as connection:
            while True:
                row = connection.execute(question.encode()).fetchone()
                if row and row[0]:
                    return time.monotonic() - began
                if time.monotonic() - began > seconds:
                    raise TimeoutError(question)
                time.sleep(interval_seconds)

    def rows_written(self) -> int:
        """Return the number of rows ever inserted, updated or deleted in the books."""
        time.sleep(12)  # idle backends report their counts after ten seconds
        return int(
            self.value(
                "SELECT coalesce(sum(n_tup_ins + n_tup_upd + n_tup_del), 0) FROM pg_stat_user_tables"
                " WHERE relname LIKE 'books\\_%'"
            )
        )


NO_OPEN_RUNS = "SELECT NOT EXISTS (SELECT FROM sync_run WHERE state IN ('queued', 'running'))"


@contextlib.contextmanager
def benchmark_environment(*, companies: int, lines: int) -> Iterator[BenchmarkEnvironment]:
    with in_database() as addresses, run_sandbox(companies=companies, lines=lines) as sandbox:
        yield BenchmarkEnvironment(sandbox=sandbox, addresses=addresses, app=register_app(sandbox))


@contextlib.contextmanager
def in_database() -> Iterator[Addresses]:
    """Set Django up on a new database with all migrations."""
    with tempfile.TemporaryDirectory(prefix="koppel-bench-") as folder:
        home = Path(folder)
        with EmbeddedPostgres(home / "postgres") as server:
            migrate_database(server.addresses, home)
            yield server.addresses
            from django.db import connections

            connections.close_all()
