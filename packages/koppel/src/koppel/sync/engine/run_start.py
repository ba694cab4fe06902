"""The start of a run: its plan from the settings in force, and the status of a first sync."""

from dataclasses import dataclass

from django.db import connection as django_connection

from koppel.administrations.effective_settings import resolve_settings
from koppel.administrations.models import Administration, Status
from koppel.administrations.services import set_status
from koppel.kit.database.sql_files import load_statements
from koppel.kit.tenancy import organisation_scope
from koppel.sync.engine.normalisation_states import mark_as_current
from koppel.sync.errors import RunTakenOver
from koppel.sync.models import RunState
from koppel.sync.runs.claims import ClaimedRun

_SQL = load_statements("koppel.sync")


@dataclass(frozen=True, kw_only=True)
class SyncPlan:
    """The requirements of the settings in force."""

    resources: tuple[str, ...]
    fiscal_years_back: int
    full_comparison_weekday: int = 6
    """Monday = 0."""


def start_run(run: ClaimedRun) -> SyncPlan:
    """Return the plan by the settings in force; show a first sync as configuring.

    Raises `RunTakenOver` for a run that was stopped meanwhile.
    """
    administrations = Administration.objects.in_organisation(run.organisation_id).filter(
        pk=run.administration_id
    )
    with organisation_scope(run.organisation_id):
        activated_at, own_settings, template, organisation = administrations.values_list(
            "activated_at", "settings", "template__settings", "organisation__settings"
        ).get()
        if activated_at is None:
            if not _lock_run(run):
                raise RunTakenOver
            set_status(run.organisation_id, run.administration_id, Status.CONFIGURING)
            mark_as_current(administrations.select_related("connection").get())
        settings = resolve_settings(own_settings, template or {}, organisation)
    return SyncPlan(
        resources=settings.resources,
        fiscal_years_back=settings.fiscal_years_back,
        full_comparison_weekday=settings.full_comparison_weekday,
    )


def _lock_run(run: ClaimedRun) -> bool:
    """Lock the run until the transaction ends. Returns whether this worker holds the run."""
    with django_connection.cursor() as cursor:
        cursor.execute(
            _SQL["lock_run"],
            {
                "organisation": run.organisation_id,
                "run": run.id,
                "attempt": run.attempt,
                "running": RunState.RUNNING,
            },
        )
        return cursor.fetchone() is not None
