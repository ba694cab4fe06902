"""Knows which stored rows may be of another version of normalisation than the installed connectors have."""

from dataclasses import dataclass

from django.db import connection as django_connection
from django.db.models import Sum

from koppel.administrations.models import Administration
from koppel.connector.registry import connector, connectors
from koppel.connector.rows import ROWS
from koppel.kit.database.sql_files import load_statements
from koppel.kit.tenancy import installation_scope
from koppel.sync.models import Checkpoint, NormalisationState

_SQL = load_statements("koppel.sync")


@dataclass(frozen=True)
class WaitingResource:
    """A resource of an administration whose rows are still to be compared with the current version."""

    organisation_id: int
    administration_id: int
    resource: str


@dataclass(frozen=True, kw_only=True)
class NormalisationProgress:
    """How far the stored rows of all organisations are of the current version."""

    administrations: int
    """Those with stored data."""
    waiting_administrations: int
    waiting_resources: int
    rejected_rows: int
    """Rows that the current version cannot normalise."""

    @property
    def resources(self) -> int:
        return self.administrations * len(ROWS)


def list_waiting_resources() -> list[WaitingResource]:
    """Return what waits, by administration and resource, in the caller's scope."""
    versions = [
        (key, resource, version)
        for key, installed in connectors().items()
        for resource, version in installed.normalisation_versions.items()
    ]
    keys, resources, numbers = (list(column) for column in zip(*versions, strict=True))
    with django_connection.cursor() as cursor:
        cursor.execute(
            _SQL["list_waiting_normalisations"],
            {"connectors": keys, "resources": resources, "versions": numbers},
        )
        return [WaitingResource(*row) for row in cursor.fetchall()]


def normalisation_progress() -> NormalisationProgress:
    """Return the progress over all organisations; opens its own transaction."""
    with installation_scope("stored rows of other versions"):
        waiting = list_waiting_resources()
        administrations = Checkpoint.objects.values("administration_id").distinct().count()
        rejected = NormalisationState.objects.aggregate(rows=Sum("rejected"))["rows"]
    return NormalisationProgress(
        administrations=administrations,
        waiting_administrations=len({each.administration_id for each in waiting}),
        waiting_resources=len(waiting),
        rejected_rows=rejected or 0,
    )


def mark_as_current(administration: Administration) -> None:
    """Record that an administration without stored data has no rows of another version."""
    versions = connector(administration.connection.connector).normalisation_versions
    with django_connection.cursor() as cursor:
        cursor.execute(
            _SQL["insert_normalisation_states"],
            {
                "organisation": administration.organisation_id,
                "administration": administration.pk,
                "resources": list(versions),
                "versions": list(versions.values()),
            },
        )


def lock_state(administration: Administration, resource: str, version: int) -> NormalisationState:
    """Return the state of this version, new or continued, locked until the end of the transaction."""
    state, _created = NormalisationState.objects.select_for_update().get_or_create(
        organisation_id=administration.organisation_id,
        administration=administration,
        resource=resource,
        defaults={"version": version},
    )
    if state.version != version:
        state.version, state.is_complete, state.last_key = version, False, ""
        state.renormalised = state.rejected = 0
    return state
