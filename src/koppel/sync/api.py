"""Runs of an administration over REST."""

from datetime import datetime

from ninja import Router, Schema

from koppel.administrations.scope import administration_for
from koppel.sync.models import Run, RunResource
from koppel.web.doors import MemberRequest

router = Router()


class ResourceOut(Schema):
    """`rows` records were read (`lines` with them); `added`, `changed`, `deleted` and `rejected` count what they did."""

    resource: str
    state: str
    mode: str
    rows: int
    lines: int
    expected_total: int | None
    added: int
    changed: int
    deleted: int
    rejected: int
    reason: str


class RunOut(Schema):
    """`seconds` from the first start to the finish; null while it is open."""

    id: int
    state: str
    trigger: str
    attempt: int
    reason: str
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    seconds: float | None
    resources: list[ResourceOut]


@router.get("/{administration_id}/sync/runs", response=list[RunOut])
def runs(request: MemberRequest, administration_id: int, limit: int = 20) -> list[RunOut]:
    """The newest runs first, at most 100."""
    one = administration_for(request.actor, administration_id)
    found = Run.objects.filter(organisation_id=one.organisation_id, administration=one).prefetch_related("parts")
    return [_out(run) for run in found.order_by("-created_at", "-pk")[: min(max(limit, 1), 100)]]


def _out(run: Run) -> RunOut:
    seconds = (run.finished_at - run.started_at).total_seconds() if run.started_at and run.finished_at else None
    parts = sorted(run.parts.all(), key=lambda part: part.position)
    return RunOut(
        id=run.pk,
        state=run.state,
        trigger=run.trigger,
        attempt=run.attempt,
        reason=run.reason,
        created_at=run.created_at,
        started_at=run.started_at,
        finished_at=run.finished_at,
        seconds=seconds,
        resources=[_resource(part) for part in parts],
    )


def _resource(part: RunResource) -> ResourceOut:
    return ResourceOut(**{name: getattr(part, name) for name in ResourceOut.model_fields})
