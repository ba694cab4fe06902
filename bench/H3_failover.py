"""The primary of two PostgreSQL servers is killed and its data removed in the middle of an import and of 50
token refreshes; then the standby is promoted. No setting changes.

The standby receives nothing in the last second before, so that it lacks pages which the workers committed.
Commits of tokens and of the audit log wait for it meanwhile.
"""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench._django import migrate_database
from bench._mock_tenants import NO_OPEN_RUNS, BenchmarkEnvironment, MockTenant
from koppel.cli.environment import OWNER_VARIABLE
from koppel.kit.database.embedded_postgres import choose_free_port
from tests.fixtures.clusters import (
    Cluster,
    addresses_of_both,
    has_clusters,
    start_standby,
    two_clusters,
)
from tests.fixtures.stack import CLIENTS, register_app, run_sandbox, wait_until

if TYPE_CHECKING:
    from tests.vault.factories import GrantedAccess

COMPANIES, LINES, PAGE_SIZE = 6, 1500, 25
GRANTS = 50
SERVER = {"max_connections": "200"}
"""A standby refuses to start with fewer than its primary."""
UNREPLICATED_SECONDS = 1.0
WITHOUT_PRIMARY_SECONDS = 4.0
SETTLE_SECONDS_MAX = 120
"""After the promotion, until all runs are over and all refreshes have ended, on a busy machine."""
PAGES = "SELECT coalesce(sum(pages), 0)::int FROM sync_run_resource"


def missing_requirement() -> str:
    """Return what is missing to run this; '' when nothing is."""
    return "" if has_clusters() else "Debian's PostgreSQL and root"


def run() -> list[dict[str, Any]]:
    if requirement := missing_requirement():
        raise RuntimeError(f"The benchmark needs {requirement}.")
    with (
        two_clusters(synchronous_standby_names="south", **SERVER) as (primary, standby),
        tempfile.TemporaryDirectory() as folder,
        run_sandbox(companies=COMPANIES, lines=LINES) as sandbox,
    ):
        start_standby(primary, standby, cluster_name="south", wal_retrieve_retry_interval="10min", **SERVER)
        addresses = addresses_of_both(primary, standby)
        migrate_database(addresses, Path(folder))
        environment = BenchmarkEnvironment(sandbox=sandbox, addresses=addresses, app=register_app(sandbox))
        tenant = environment.add_tenant("Two servers")
        for company in sandbox.companies():
            sandbox.control(f"companies/{company['id']}/paging", {"page_size_max": PAGE_SIZE})
        sandbox.control("settings", {"latency_seconds": 0.05})
        # A refresh token that is used twice ends its consent at once.
        sandbox.client(CLIENTS["company_list"], grace_seconds=0, token_seconds=0.3)
        with environment.workers(2, "--concurrency", "8"), _web(environment) as probe:
            return _Failover(primary, standby, environment, tenant, probe).figures()


@dataclass
class WebProbe:
    """Asks a web process for the sign-in page and for its readiness five times a second."""

    port: int
    answers: list[tuple[float, bool]] = field(default_factory=list)
    """When an answer came, and whether both were well."""
    stopped: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        while not self.stopped.wait(0.2):
            is_well = self.is_well()
            self.answers.append((time.monotonic(), is_well))

    def is_well(self) -> bool:
        try:
            for path in ("/readyz", "/accounts/login/"):
                urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=30).close()
        except OSError:
            return False
        return True

    def last_failure_at(self) -> float:
        return max((at for at, is_well in self.answers if not is_well), default=0.0)


class AuditWriter:
    """Adds entries to the audit log until the database is gone; counts those whose commit was confirmed."""

    def __init__(self, tenant: MockTenant) -> None:
        self._tenant, self.confirmed = tenant, 0
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def join(self) -> None:
        self._thread.join(60)

    def _run(self) -> None:
        from django.db import Error, connections

        from koppel.audit.services import KOPPEL_ACTOR, add_audit_entry
        from koppel.kit.tenancy import organisation_scope
        from koppel.sync.audit_actions import SyncAction

        organisation_id = self._tenant.actor.organisation_id
        with contextlib.suppress(Error):
            while True:
                with organisation_scope(organisation_id):
                    add_audit_entry(organisation_id, KOPPEL_ACTOR, SyncAction.BOOKS_RENORMALISED)
                self.confirmed += 1
                time.sleep(0.01)
        connections.close_all()


class _Failover:
    def __init__(
        self,
        primary: Cluster,
        standby: Cluster,
        environment: BenchmarkEnvironment,
        tenant: MockTenant,
        probe: WebProbe,
    ) -> None:
        self._primary, self._standby, self._environment = primary, standby, environment
        self._tenant, self._probe = tenant, probe
        self._audit = AuditWriter(tenant)

    def figures(self) -> list[dict[str, Any]]:
        from tests.vault.factories import connection_of, create_grants
        from tests.vault.processes import programs

        sandbox = self._environment.sandbox
        said_before = _check_sentences()
        connection = connection_of(self._tenant.actor, self._environment.app, "second@sandbox.example")
        granted = create_grants(sandbox, connection, GRANTS)
        held, running = granted[: GRANTS // 2], granted[GRANTS // 2 :]
        with programs(1, held) as (waiting,), programs(1, running) as (refreshing,):
            administration_ids = self._tenant.import_all()
            self._environment.wait(f"SELECT ({PAGES}) > {COMPANIES * 12}", 90, interval_seconds=0.02)
            sandbox.hold("/connect/token", times=len(held))
            waiting.go()
            wait_until(lambda: sandbox.holds(len(held)))
            self._audit.start()
            refreshing.go()
            time.sleep(0.2)
            lost_pages, promoted_at = self._fail_over()
            outcomes = [_read_until_done(program) for program in (waiting, refreshing)]
        self._environment.wait(NO_OPEN_RUNS, SETTLE_SECONDS_MAX)
        finished = time.monotonic() - promoted_at
        wait_until(self._probe.is_well)
        self._probe.stopped.set()
        return [
            *self._vault_figures(granted, list(chain(*outcomes))),
            *self._book_figures(administration_ids, lost_pages),
            _figure("audit entries lost of those confirmed", self._lost_audit_entries(), "entries", 0),
            {"name": "everything finished after the promotion", "value": round(finished, 1), "unit": "s"},
            {
                "name": "last failing page after the promotion",
                "value": round(max(0.0, self._probe.last_failure_at() - promoted_at), 1),
                "unit": "s",
            },
            _truth("`koppel check` names the synchronous standby", "(synchronous)" in said_before),
            _truth("`koppel check` misses it afterwards", "does not answer" in _check_sentences()),
        ]

    def _fail_over(self) -> tuple[int, float]:
        """Return how many committed pages the standby lacks, and when it was promoted."""
        from django.db import connections

        self._standby.stop_receiving()
        time.sleep(UNREPLICATED_SECONDS)
        committed = self._environment.value(PAGES)
        self._primary.destroy()
        self._audit.join()
        connections.close_all()
        time.sleep(WITHOUT_PRIMARY_SECONDS / 2)
        self._environment.sandbox.release()
        time.sleep(WITHOUT_PRIMARY_SECONDS / 2)
        self._standby.promote()
        return committed - self._environment.value(PAGES), time.monotonic()

    def _vault_figures(
        self, granted: Sequence["GrantedAccess"], outcomes: list[dict[str, Any]]
    ) -> Iterator[dict[str, Any]]:
        from tests.vault.factories import expire
        from tests.vault.processes import programs

        yield {
            "name": "tokens renewed by those who waited through the failover",
            "value": sum("token" in outcome for outcome in outcomes),
            "unit": "tokens",
        }
        expire(granted)
        with programs(1, granted) as (program,):
            program.go()
            renewed = [answer for answer in program.read_until_done() if "token" in answer]
        families = self._environment.sandbox.control("tokens?families=1")
        yield _figure("consents lost", GRANTS - len(renewed), "consents", 0)
        yield _figure("families revoked at the vendor", families["revoked"], "families", 0)

    def _book_figures(self, administration_ids: list[int], lost_pages: int) -> Iterator[dict[str, Any]]:
        company_ids = [str(company["id"]) for company in self._environment.sandbox.companies()]
        lost = doubled = 0
        for administration_id in administration_ids:
            missing, surplus = self._differences(administration_id, company_ids)
            lost, doubled = lost + missing, doubled + surplus
        yield {"name": "committed pages that the standby lacked", "value": lost_pages, "unit": "pages"}
        yield _figure("lines lost", lost, "lines", 0)
        yield _figure("lines doubled", doubled, "lines", 0)
        active = self._environment.value(
            "SELECT count(*) FROM administrations_administration WHERE status = 'active'"
        )
        yield _figure("administrations active", active, "administrations", COMPANIES)

    def _differences(self, administration_id: int, company_ids: list[str]) -> tuple[int, int]:
        """Return the lines that the books lack, and those that the source does not have."""
        from koppel.administrations.models import Administration
        from koppel.kit.tenancy import organisation_scope
        from tests.sync.factories import Synced

        with organisation_scope(self._tenant.actor.organisation_id):
            administration = Administration.objects.select_related("remote_company").get(pk=administration_id)
            company_id = administration.remote_company.external_id
        assert company_id in company_ids
        synced = Synced(
            actor=self._tenant.actor,
            administration_id=administration_id,
            company_id=company_id,
            sandbox=self._environment.sandbox,
        )
        source = {f"{key} {line}" for key, lines in synced.source_keys().items() for line in lines}
        rows = [row.external_id for row in synced.rows("entry_lines")]
        return len(source - set(rows)), len(rows) - len(source & set(rows))

    def _lost_audit_entries(self) -> int:
        stored = self._environment.value(
            "SELECT count(*) FROM audit_entry WHERE action = 'administration.books_renormalised'"
        )
        return max(0, self._audit.confirmed - int(stored))


@contextlib.contextmanager
def _web(environment: BenchmarkEnvironment) -> Iterator[WebProbe]:
    """Start a real `koppel web` and ask it without pause."""
    probe = WebProbe(choose_free_port())
    variables = {name: value for name, value in os.environ.items() if name != OWNER_VARIABLE}
    command = [sys.executable, "-m", "koppel.cli", "web", "--port", str(probe.port)]
    log = Path(os.environ["KOPPEL_DATA_DIR"]) / "web.log"
    with log.open("ab") as words:
        process = subprocess.Popen(command, env=variables, stderr=words)
        thread = threading.Thread(target=probe.run, daemon=True)
        try:
            wait_until(probe.is_well)
            thread.start()
            yield probe
        finally:
            probe.stopped.set()
            process.terminate()
            process.wait(30)


def _read_until_done(program: Any) -> list[dict[str, Any]]:
    return [answer for answer in program.read_until_done() if "done" not in answer]


def _check_sentences() -> str:
    """Return what `koppel check` says of standbys."""
    done = subprocess.run(
        [sys.executable, "-m", "koppel.cli", "check", "--json"],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    findings = [json.loads(line) for line in done.stdout.splitlines()]
    return " ".join(finding["text"] for finding in findings if finding["topic"] == "standby")


def _figure(name: str, value: int, unit: str, to_reach: int) -> dict[str, Any]:
    return {"name": name, "value": value, "unit": unit, "to_reach": to_reach, "holds": value == to_reach}


def _truth(name: str, holds: bool) -> dict[str, Any]:
    return {"name": name, "value": int(holds), "unit": "yes", "to_reach": 1, "holds": holds}
