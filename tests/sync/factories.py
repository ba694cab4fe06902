"""Imports a company of the sandbox and executes its runs in this process with the worker's engine."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db import connection, connections
from django.utils import timezone

from koppel.administrations.models import Administration
from koppel.administrations.services import NewAdministration, import_companies
from koppel.books.models import MODELS_BY_RESOURCE, BookRow
from koppel.connections.models import RemoteCompany
from koppel.connections.sessions.runtime import Runtime, as_worker
from koppel.kit.http.client import HttpClient
from koppel.kit.tenancy import organisation_scope
from koppel.organisations.roles import Actor
from koppel.sync.engine.run_executor import execute_run
from koppel.sync.inputs import SyncInput
from koppel.sync.models import Checkpoint, Run, RunResource
from koppel.sync.runs.claims import claim_runs
from koppel.sync.runs.services import cancel_run, request_first_runs, request_run
from tests.fixtures.stack import Connected, Sandbox


@dataclass(kw_only=True)
class Synced:
    """An administration, who may sync it, and the company it stands for in the sandbox."""

    actor: Actor
    administration_id: int
    company_id: str
    sandbox: Sandbox

    def sync(self, *, full: bool = False) -> Run:
        """Request a run and execute it until it ends or waits; return the run."""
        with organisation_scope(self.actor.organisation_id):
            if self.administration.activated_at is None and not Run.objects.exists():
                request_first_runs(self.actor, [self.administration_id])
            else:
                request_run(self.actor, self.administration_id, SyncInput(full=full))
            run_id = Run.objects.filter(state="queued").latest("pk").pk
        return self.perform(run_id)

    def perform(self, run_id: int) -> Run:
        """As a worker does, also a run that waits."""
        with organisation_scope(self.actor.organisation_id):
            Run.objects.filter(pk=run_id).update(not_before=None)
        asyncio.run(perform_run(self.actor.organisation_id, run_id))
        with organisation_scope(self.actor.organisation_id):
            return Run.objects.get(pk=run_id)

    def cancel(self) -> None:
        with organisation_scope(self.actor.organisation_id):
            cancel_run(self.actor, self.administration_id)

    def administration_status(self) -> str:
        with organisation_scope(self.actor.organisation_id):
            return str(self.administration.status)

    def versions(self) -> dict[str, set[tuple[str, str]]]:
        """Where PostgreSQL keeps each row and which transaction wrote it: an UPDATE, even to the same values,
        changes it.
        """
        with organisation_scope(self.actor.organisation_id), connection.cursor() as cursor:
            versions_by_resource = {}
            for resource, model in MODELS_BY_RESOURCE.items():
                cursor.execute(
                    f"SELECT ctid::text, xmin::text FROM {model._meta.db_table} WHERE administration_id = %s",
                    [self.administration_id],
                )
                versions_by_resource[resource] = set(cursor.fetchall())
        return versions_by_resource

    @property
    def administration(self) -> Administration:
        return Administration.objects.get(pk=self.administration_id)

    def part(self, run: Run, resource: str) -> RunResource:
        with organisation_scope(self.actor.organisation_id):
            return RunResource.objects.get(run=run, resource=resource)

    def run_resources(self, run: Run) -> dict[str, RunResource]:
        with organisation_scope(self.actor.organisation_id):
            return {one.resource: one for one in RunResource.objects.filter(run=run)}

    def checkpoint(self, resource: str) -> Checkpoint:
        with organisation_scope(self.actor.organisation_id):
            return Checkpoint.objects.get(administration_id=self.administration_id, resource=resource)

    def rows(self, resource: str, **where: Any) -> list[BookRow]:
        """What the books hold and the source still has."""
        with organisation_scope(self.actor.organisation_id):
            queryset = MODELS_BY_RESOURCE[resource]._default_manager.filter(
                administration_id=self.administration_id
            )
            return list(queryset.filter(**{"deleted_at": None, **where}).order_by("external_id"))

    def keys(self, resource: str, **where: Any) -> set[str]:
        return {one.external_id for one in self.rows(resource, **where)}

    def change(self, **acts: Any) -> dict[str, Any]:
        """Change batches at the source: `delete`, `edit` …"""
        result: dict[str, Any] = self.sandbox.control(f"companies/{self.company_id}/batches", acts)
        return result

    def paging(self, **values: Any) -> None:
        """How the source pages: `page_size_max`, `stated_page_size_max`."""
        self.sandbox.control(f"companies/{self.company_id}/paging", values)

    def is_exact(self) -> bool:
        """The books hold what the source holds now, no more and no less."""
        entries = self.source_keys()
        lines = {f"{key} {number}" for key, numbers in entries.items() for number in numbers}
        return self.keys("entries") == set(entries) and self.keys("entry_lines") == lines

    def batches(self) -> list[dict[str, Any]]:
        """The source's batches: module, number, period, line numbers."""
        answer: list[dict[str, Any]] = self.sandbox.control(f"companies/{self.company_id}/batches")
        return answer

    def source_keys(self) -> dict[str, set[int]]:
        """The source's entries by the key they have in the books, with their line numbers."""
        return {f"{one['module']} {one['number']}": set(one["lines"]) for one in self.batches()}

    def settings(self, **values: Any) -> None:
        """Settings of the administration's own."""
        with organisation_scope(self.actor.organisation_id):
            kept = {**self.administration.settings, **values}
            Administration.objects.filter(pk=self.administration_id).update(settings=kept)

    def facts(self) -> dict[str, Any]:
        company: dict[str, Any] = self.sandbox.control(f"companies/{self.company_id}")
        return company


def import_company(connected: Connected, index: int = 0) -> Synced:
    """The company at `place` in the sandbox's list.

    Its weekly full read is days away, also when midnight passes.
    """
    company_id = str(connected.sandbox.companies()[index]["id"])
    actor = connected.actor
    with organisation_scope(actor.organisation_id):
        remote = RemoteCompany.objects.get(connection=connected.connection, external_id=company_id)
        created_ids = import_companies(actor, connected.connection.pk, 1, [NewAdministration(remote.pk)])
        weekday = (timezone.localdate() - timedelta(days=3)).weekday()
        Administration.objects.filter(pk__in=created_ids).update(
            settings={"full_comparison_weekday": weekday}
        )
    return Synced(
        actor=actor, administration_id=created_ids[0], company_id=company_id, sandbox=connected.sandbox
    )


async def claim_and_execute(runtime: Runtime, organisation_id: int, run_id: int) -> None:
    """Nothing when another worker has the run, or it is over."""
    async with runtime.database.tenant_transaction(organisation_id) as connection:
        runs = await claim_runs(connection, [run_id], "test")
    for run in runs:
        await execute_run(runtime, run)


async def perform_run(organisation_id: int, run_id: int) -> None:
    """One run, as a worker performs it, with a runtime of its own."""
    with ThreadPoolExecutor(1) as threads:
        asyncio.get_running_loop().set_default_executor(threads)
        async with HttpClient() as http, as_worker(http, size=4) as runtime:
            await claim_and_execute(runtime, organisation_id, run_id)
        await asyncio.to_thread(connections.close_all)
