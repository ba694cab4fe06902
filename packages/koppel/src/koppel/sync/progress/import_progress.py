"""The progress of an import: counts by status, and one page of its administrations.

Administrations that need attention come first. The cost depends on the page, not on the size of the import,
because the page is polled every two seconds.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from django.core.paginator import Paginator
from django.db.models import Case, IntegerField, Sum, Value, When
from django.db.models.functions import Greatest

from koppel.administrations.list.queryset import ids_with_open_issue
from koppel.administrations.models import Administration, Status
from koppel.administrations.queries import FAILING_STATUSES, ImportState, import_state
from koppel.organisations.roles import Actor
from koppel.sync.models import Run, RunResource, Trigger
from koppel.sync.progress.import_estimate import seconds_left_of_import
from koppel.sync.progress.queries import newest_runs
from koppel.sync.progress.run_progress import RunProgress, progress_of_runs, to_sync_progress

STATUS_GROUPS: Mapping[str, Sequence[str]] = {
    "failing": FAILING_STATUSES,
    "configuring": (Status.CONFIGURING,),
    "queued": (Status.QUEUED,),
    "active": (Status.ACTIVE,),
    "deactivated": (Status.DEACTIVATED,),
}
"""The filters of the page, in their order."""
PAGE_SIZE = 30
RUNNING_SHOWN_MAX = 100
"""At most this many running administrations are queried for their progress."""


@dataclass(frozen=True, kw_only=True)
class ImportLine:
    """An administration of an import, with its import run; later syncs do not change this line."""

    administration: Administration
    run: Run | None
    progress: RunProgress | None
    rows: int | None
    """The records that the import run read."""

    @property
    def seconds(self) -> int | None:
        """Return how long the import took."""
        if self.run is None or self.run.started_at is None or self.run.finished_at is None:
            return None
        return max(1, round((self.run.finished_at - self.run.started_at).total_seconds()))


@dataclass(frozen=True, kw_only=True)
class ImportPage:
    """One page of an import."""

    state: ImportState
    lines: Sequence[ImportLine]
    group: str
    """'' shows all."""
    groups: Sequence[tuple[str, int]]
    number: int
    pages: int
    percent: int
    seconds_left: int | None
    """None when the import is over or too few administrations are completed for an estimate."""
    with_issues: int
    """Administrations with an open issue, whatever their status."""

    @property
    def is_finished(self) -> bool:
        return not self.state.open


def import_page(
    actor: Actor, import_id: int, group: str = "", number: int = 1, size: int = PAGE_SIZE
) -> ImportPage | None:
    """Return the page with this number, or the last one.

    None when the actor may see nothing of the import.
    """
    state = import_state(actor, import_id)
    if state is None:
        return None
    counts = {
        name: sum(state.counts.get(status, 0) for status in statuses)
        for name, statuses in STATUS_GROUPS.items()
    }
    group = group if group in STATUS_GROUPS else ""
    total = counts[group] if group else state.total
    page = Paginator(range(total), size).get_page(number)
    start = (page.number - 1) * size
    page_ids = list(_ids(actor, import_id, group)[start : start + size])
    running_ids = list(_ids(actor, import_id, "configuring")[:RUNNING_SHOWN_MAX])
    progress = _progress_of_imports(actor, {*page_ids, *running_ids})
    running = [
        progress[administration_id] for administration_id in running_ids if administration_id in progress
    ]
    percent = state.percent(run.percent or 0 for run in running)
    return ImportPage(
        state=state,
        lines=_lines(actor, page_ids, progress),
        group=group,
        groups=[(name, count) for name, count in counts.items() if count],
        number=page.number,
        pages=page.paginator.num_pages,
        percent=percent,
        seconds_left=seconds_left_of_import(
            actor, import_id, state.progress_counts, [to_sync_progress(run) for run in running]
        ),
        with_issues=Administration.objects.visible_to(actor)
        .filter(import_id=import_id, pk__in=ids_with_open_issue(actor))
        .count(),
    )


def _progress_of_imports(actor: Actor, administration_ids: set[int]) -> dict[int, RunProgress]:
    """Return the progress of the first runs of these administrations that are open."""
    progress = progress_of_runs(actor.organisation_id, sorted(administration_ids))
    return {key: run for key, run in progress.items() if run.trigger == Trigger.IMPORT}


def _ids(actor: Actor, import_id: int, group: str) -> "Sequence[int]":
    """Return the ids in the order of the page, lazily."""
    administrations = Administration.objects.visible_to(actor).filter(import_id=import_id)
    if group:
        administrations = administrations.filter(status__in=STATUS_GROUPS[group])
    order = [
        When(status__in=statuses, then=Value(position))
        for position, statuses in enumerate(STATUS_GROUPS.values())
    ]
    position = Case(*order, output_field=IntegerField())
    return administrations.order_by(position, "sort_name", "pk").values_list("pk", flat=True)  # type: ignore[return-value]


def _lines(actor: Actor, ids: Sequence[int], progress: Mapping[int, RunProgress]) -> list[ImportLine]:
    administrations_by_id = Administration.objects.for_actor(actor).in_bulk(ids)
    runs = newest_runs(actor.organisation_id, ids, Trigger.IMPORT)
    ended = [run.pk for administration_id, run in runs.items() if administration_id not in progress]
    run_resources = RunResource.objects.for_actor(actor).filter(run_id__in=ended).values_list("run_id")
    rows = dict(run_resources.annotate(read=Sum(Greatest("lines", "rows"))).order_by())
    return [
        ImportLine(
            administration=administrations_by_id[administration_id],
            run=run,
            progress=progress.get(administration_id),
            rows=rows.get(run.pk) if run else None,
        )
        for administration_id in ids
        if administration_id in administrations_by_id
        for run in (runs.get(administration_id),)
    ]
