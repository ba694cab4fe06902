"""Reads of runs: what is under way, how far, and what the last ones did."""

from collections.abc import Sequence
from dataclasses import dataclass

from django.utils import timezone

from koppel.administrations.models import Administration, Status
from koppel.administrations.panels import Progress
from koppel.administrations.scope import visible_to
from koppel.organisations.policy import Actor
from koppel.sync.models import Checkpoint, Run, RunResource, Trigger
from koppel.sync.progress import RunProgress, progress_of_runs

UNDER_WAY = (Status.QUEUED, Status.CONFIGURING)


@dataclass(frozen=True)
class ResourceLine:
    """One resource on the Sync tab: how it stands and what the newest run did to it. `rows` are in the books now."""

    key: str
    checkpoint: Checkpoint | None
    part: RunResource | None


def progress_of(organisation_id: int, administration_ids: Sequence[int]) -> dict[int, Progress]:
    """By administration; those without an open run are absent."""
    found = progress_of_runs(organisation_id, administration_ids)
    return {
        key: Progress(one.percent, one.resource, one.done, one.expected, one.seconds_left) for key, one in found.items()
    }


def newest_run(administration: Administration) -> Run | None:
    found = Run.objects.filter(organisation_id=administration.organisation_id, administration=administration)
    return found.order_by("-created_at", "-pk").prefetch_related("parts").first()


def recent_runs(administration: Administration, limit: int = 20) -> list[Run]:
    found = Run.objects.filter(organisation_id=administration.organisation_id, administration=administration)
    return list(found.order_by("-created_at", "-pk").prefetch_related("parts")[:limit])


def resource_lines(administration: Administration, run: Run | None) -> list[ResourceLine]:
    """In the order of the newest run."""
    found = Checkpoint.objects.filter(organisation_id=administration.organisation_id, administration=administration)
    checkpoints = {one.resource: one for one in found}
    parts = {one.resource: one for one in sorted(run.parts.all(), key=lambda part: part.position)} if run else {}
    keys = [*parts, *(key for key in checkpoints if key not in parts)]
    return [ResourceLine(key, checkpoints.get(key), parts.get(key)) for key in keys]


@dataclass(frozen=True)
class ImportLine:
    """One administration of an import: how it stands, and the run that is or was at it."""

    administration: Administration
    run: Run | None
    progress: RunProgress | None

    @property
    def seconds(self) -> int | None:
        """How long the newest run took."""
        if self.run is None or self.run.started_at is None or self.run.finished_at is None:
            return None
        return max(1, round((self.run.finished_at - self.run.started_at).total_seconds()))


@dataclass(frozen=True)
class ImportState:
    """An import as far as the actor may see it, what needs somebody on top. `seconds_left` None: over, or no telling yet."""

    import_id: int
    lines: list[ImportLine]
    total: int
    active: int
    failed: int
    seconds_left: int | None

    @property
    def is_over(self) -> bool:
        return all(line.administration.status not in UNDER_WAY for line in self.lines)

    @property
    def percent(self) -> int:
        done = sum(
            100 if line.administration.status not in UNDER_WAY else (line.progress.percent or 0 if line.progress else 0)
            for line in self.lines
        )
        return done // self.total if self.total else 100


def import_state(actor: Actor, import_id: int) -> ImportState | None:
    """None when the actor may see nothing of it."""
    found = list(visible_to(actor).filter(imported_in=import_id).order_by("name", "pk"))
    if not found:
        return None
    ids = [one.pk for one in found]
    progress = progress_of_runs(actor.organisation_id, ids)
    newest = Run.objects.filter(organisation_id=actor.organisation_id, administration_id__in=ids)
    newest = newest.order_by("administration_id", "-created_at", "-pk").distinct("administration_id")
    runs = {run.administration_id: run for run in newest}
    lines = [ImportLine(one, runs.get(one.pk), progress.get(one.pk)) for one in found]
    lines.sort(
        key=lambda line: (_ORDER.get(line.administration.status, 3), line.administration.name, line.administration.pk)
    )
    return ImportState(
        import_id, lines, len(lines),
        active=sum(one.status == Status.ACTIVE for one in found),
        failed=sum(one.status in (Status.FAILED, Status.BLOCKED) for one in found),
        seconds_left=_import_seconds_left(lines),
    )  # fmt: skip


_ORDER: dict[str, int] = {Status.FAILED: 0, Status.BLOCKED: 0, Status.CONFIGURING: 1, Status.QUEUED: 2}


def _import_seconds_left(lines: Sequence[ImportLine]) -> int | None:
    """By the pace at which this import's administrations were finished so far, and never less than the longest run needs."""
    waiting = [line for line in lines if line.administration.status in UNDER_WAY]
    longest = max((line.progress.seconds_left or 0 for line in waiting if line.progress), default=0)
    begun = [line.run.created_at for line in lines if line.run and line.run.trigger == Trigger.IMPORT]
    done = len(lines) - len(waiting)
    if not waiting or not begun or (not done and not longest):
        return None
    elapsed = (timezone.now() - min(begun)).total_seconds()
    return max(round(elapsed / done * len(waiting)) if done else 0, longest)
