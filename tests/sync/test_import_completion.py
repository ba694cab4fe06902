"""An import ends when its last administration was read, failed or was stopped."""

import asyncio

import pytest

from koppel.administrations.models import Administration
from koppel.kit.tenancy import organisation_scope
from koppel.notifications.audience.visible_context import sum_counts
from koppel.notifications.models import Event
from koppel.sync.models import Run
from koppel.sync.runs.services import cancel_run, request_runs_after_reconnect
from tests.connections.factories import import_first
from tests.fixtures.stack import Connected, MakeConnected
from tests.sync.factories import perform_run


def import_events(firm: Connected) -> list[dict[str, object]]:
    """The facts of what was announced about imports, with the counts of all administrations."""
    with organisation_scope(firm.actor.organisation_id):
        return [
            event.context | sum_counts(event.administrations.values())
            for event in Event.objects.filter(event_type__startswith="import_").order_by("pk")
        ]


def queued(firm: Connected) -> list[Run]:
    with organisation_scope(firm.actor.organisation_id):
        return list(Run.objects.filter(state="queued").order_by("pk"))


def perform_all(firm: Connected, runs: list[Run]) -> None:
    for run in runs:
        asyncio.run(perform_run(firm.actor.organisation_id, run.pk))


@pytest.fixture
def anna(connected: MakeConnected) -> Connected:
    firm = connected()
    import_first(firm, 3, sync=True)
    return firm


def test_an_import_whose_last_administration_is_stopped_is_over(anna: Connected) -> None:
    *first, last = queued(anna)
    perform_all(anna, first)
    assert import_events(anna) == []
    with organisation_scope(anna.actor.organisation_id):
        cancel_run(anna.actor, last.administration_id)
    (facts,) = import_events(anna)
    assert (facts["total"], facts["active"], facts["others"]) == (3, 2, 1)


def test_syncs_after_a_reconnect_are_not_announced_as_an_import(anna: Connected) -> None:
    """Long after, when what was told then is forgotten. What was never read in full still is an import."""
    perform_all(anna, queued(anna))
    with organisation_scope(anna.actor.organisation_id):
        Event.objects.all().delete()
        new = Administration.objects.order_by("pk").last()
        assert new is not None
        Administration.objects.filter(pk=new.pk).update(activated_at=None, status="failed")
        request_runs_after_reconnect(anna.actor, anna.connection.pk)
    runs = queued(anna)
    assert {run.administration_id: run.trigger for run in runs}.pop(new.pk) == "import"
    assert sorted(run.trigger for run in runs) == ["import", "schedule", "schedule"]
    perform_all(anna, [run for run in runs if run.trigger == "schedule"])
    assert import_events(anna) == []
    perform_all(anna, [run for run in runs if run.trigger == "import"])
    assert len(import_events(anna)) == 1
