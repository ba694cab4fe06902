"""Steps of the tests of companies that changed at the vendor: import, change, sync, read the books."""

import asyncio

from django.db import connection as database

from koppel.administrations.models import Administration
from koppel.issues.queries import open_issues
from koppel.kit.tenancy import organisation_scope
from koppel.sync.models import Run
from koppel.sync.runs.services import request_run
from tests.connections.factories import import_first
from tests.fixtures.stack import Connected
from tests.sync.factories import perform_run

GOES_ON, STOPPED = "succeeded", "failed"


def sync(connected: Connected, administration: Administration) -> str:
    """A person asks for a run, and this process performs it to its end. How it ended."""
    with organisation_scope(connected.actor.organisation_id):
        request_run(connected.actor, administration.pk)
    return perform_open(connected, administration)


def perform_open(connected: Connected, administration: Administration) -> str:
    """The run that somebody has asked for; a run that yields to others is continued."""
    with organisation_scope(connected.actor.organisation_id):
        run = Run.objects.get(administration=administration, state__in=["queued", "running"])
    state = "queued"
    for _attempt in range(5):
        with organisation_scope(connected.actor.organisation_id):
            Run.objects.filter(pk=run.pk).update(not_before=None)
        asyncio.run(perform_run(connected.actor.organisation_id, run.pk))
        with organisation_scope(connected.actor.organisation_id):
            state = str(Run.objects.get(pk=run.pk).state)
        if state != "queued":
            break
    return state


def books(connected: Connected) -> dict[str, list[tuple[str, ...]]]:
    """Every row of the books, of checkpoints and of the log of changes, with the transaction that wrote
    it.
    """
    with organisation_scope(connected.actor.organisation_id), database.cursor() as cursor:
        cursor.execute(
            "SELECT table_name FROM information_schema.tables WHERE table_type = 'BASE TABLE' "
            "AND table_schema = 'public'"
            " AND (table_name LIKE 'books%%' OR table_name IN ('sync_checkpoint', 'sync_change', "
            "'sync_read_key'))"
        )
        names = [name for (name,) in cursor.fetchall()]
        rows = {}
        for name in names:
            cursor.execute(f"SELECT ctid::text, xmin::text, t::text FROM {name} t ORDER BY 1, 3")
            rows[name] = cursor.fetchall()
    assert {"books_account", "books_entry", "sync_checkpoint"} <= rows.keys()
    return rows


def issues(connected: Connected, administration: Administration) -> dict[str, str]:
    """The open issues of an administration: code and sentence."""
    with organisation_scope(connected.actor.organisation_id):
        by_administration = open_issues(connected.actor, "administration", [administration.pk])
        return {issue.code: issue.message for issue in by_administration.get(administration.pk, [])}


def now_of(connected: Connected, administration: Administration) -> Administration:
    with organisation_scope(connected.actor.organisation_id):
        return Administration.objects.select_related("remote_company").get(pk=administration.pk)


def status_of(connected: Connected, administration: Administration) -> tuple[str, str]:
    stored = now_of(connected, administration)
    return stored.status, stored.status_code


def rotate(connected: Connected, *administrations: Administration) -> None:
    """At the vendor each id stands for the company of the next one from now on."""
    ids = [one.remote_company.external_id for one in administrations]
    connected.sandbox.control("rotate", {"companies": ids})


def import_and_sync(connected: Connected, count: int) -> list[Administration]:
    """So many administrations, imported and read once."""
    administrations = import_first(connected, count)
    for administration in administrations:
        assert sync(connected, administration) == GOES_ON
    return [now_of(connected, administration) for administration in administrations]
