"""The outbox: rows that workers deliver outside Koppel, such as emails, webhook messages and register
lookups.

A row is created in the transaction of its cause, and its job after that: a rolled back row is never
delivered, and `enqueue_due` finds each committed row at the latest. The rows of one receiver form a lane,
which jobs process in turns: `claim` leases the next rows to a worker, which attempts them outside any
transaction and stores the outcome, unless its lease has passed to another worker. A row whose worker died is
due again at the end of its lease.
"""

import time
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import structlog
from django.db import transaction
from django.db.models import F, Max, Min, Model, Q, QuerySet
from django.db.models.functions import Greatest
from django.utils import timezone

from koppel.kit import quarantine
from koppel.kit.database.outage import is_outage
from koppel.kit.database.threads import run_in_thread
from koppel.kit.jobs import enqueue_once
from koppel.kit.quarantine import Quarantined
from koppel.kit.tenancy import installation_scope, organisation_scope

TURN_SECONDS = 20.0
"""After this time a job ends and defers another one behind the jobs that wait."""
BATCHES_MAX = 2
"""The most simultaneous batches of a lane: a slow receiver, or a worker that died, holds up no more."""
BATCHES_OF_ORGANISATION_MAX = 3
"""The most simultaneous batches of all lanes of an organisation, over all workers: a worker has ten slots,
for jobs of all organisations.
"""
POLL_SECONDS = 5.0

Lane = Mapping[str, int]
"""Columns of the model that name the lane, `organisation_id` among them. They are the arguments of the
job.
"""
Values = Mapping[str, Any]

log = structlog.get_logger(__name__)


def _settle_nothing(rows: "QuerySet[Any]") -> None:
    """Settle no row: each may be delivered a second time."""


@dataclass(frozen=True)
class Outbox:
    """A table of deliveries. The model has the columns `organisation_id`, `due_at`, `leased_until`,
    `attempts` and `reason`.
    """

    task_name: str
    model: type[Model]
    lane_columns: tuple[str, ...]
    open_rows: Q
    """Rows that are not settled, by columns of the model alone."""
    lease: timedelta
    """Longer than an attempt at a whole batch takes."""
    retry_seconds: Callable[[int], float]
    """The pause after this number of attempts."""
    attempts_max: int
    select_batch: Callable[["QuerySet[Any]"], list[Any]]
    """Chooses the next batch from the rows of a lane that are due, the oldest first."""
    waiting: Values = field(default_factory=dict)
    """Columns that mark a row as waiting; likewise below."""
    leased: Values = field(default_factory=dict)
    cancelled: Values = field(default_factory=dict)
    failed: Values = field(default_factory=dict)
    is_deliverable: Q = field(default_factory=Q)
    """Open rows for which this does not hold wait until it does."""
    settle_interrupted: Callable[["QuerySet[Any]"], None] = _settle_nothing
    """Settles those of interrupted rows that must not be delivered a second time."""

    def enqueue(self, lane: Lane) -> None:
        """Defer a job for the lane after the caller's transaction, unless one waits: a thousand rows are one
        job.

        If the process dies in between, `enqueue_due` finds the rows.
        """
        transaction.on_commit(partial(self.enqueue_again, lane), robust=True)

    def claim(self, lane: Lane) -> "Claim | None":
        """Lease the lane's next batch. Returns None when no row is due, or `BATCHES_MAX` batches are under
        way.
        """
        now = timezone.now()
        with organisation_scope(lane["organisation_id"]):
            rows = self._rows(lane)
            if self._has_enough_under_way(lane, now):
                return None
            self.settle_interrupted(rows.filter(leased_until__lte=now))
            due = self._due(rows, now).select_for_update(skip_locked=True, of=("self",))
            batch = self.select_batch(due.order_by("due_at", "pk"))
            if not batch:
                return None
            claim = Claim(
                outbox=self, lane=lane, ids=[row.pk for row in batch], leased_until=now + self.lease
            )
            leased = self._rows(lane).filter(pk__in=claim.ids)
            leased.update(leased_until=claim.leased_until, attempts=F("attempts") + 1, **self.leased)
        return claim

    def schedule(self, lane: Lane, *, pause_seconds: float = POLL_SECONDS) -> None:
        """Defer a job for when the next row of the lane is due, and not before the pause is over; none
        without open rows.
        """
        with organisation_scope(lane["organisation_id"]):
            rows = self._rows(lane).filter(self.is_deliverable)
            next_due = rows.aggregate(next_due=Min(Greatest("due_at", "leased_until")))["next_due"]
            if next_due is not None:
                self._enqueue_at(lane, max(next_due, timezone.now() + timedelta(seconds=pause_seconds)))

    def enqueue_again(self, lane: Lane) -> None:
        """Defer a job behind those that wait, unless one waits for this lane."""
        with organisation_scope(lane["organisation_id"]):
            enqueue_once(self.task_name, lane, queueing_lock=self._lock(lane))

    def enqueue_due(self) -> int:
        """Defer a job for each lane with due rows: of workers that died, or after a quarantine. Returns how
        many lanes.
        """
        with installation_scope("deliveries that are due"):
            due = self._due(self.model._default_manager.filter(self.open_rows), timezone.now())
            lanes = list(due.values(*self.lane_columns).order_by(*self.lane_columns).distinct())
            for lane in lanes:
                enqueue_once(self.task_name, lane, queueing_lock=self._lock(lane))
        return len(lanes)

    def cancel(self, rows: "QuerySet[Any]", reason: str, *, with_leased: bool = False) -> int:
        """Settle the waiting rows among these undelivered, and with `with_leased` also those that a worker is
        attempting. Returns their number. In scope.
        """
        return self._settle_open(rows, {**self.cancelled, "reason": reason}, with_leased=with_leased)

    def fail(self, rows: "QuerySet[Any]", reason: str) -> int:
        """Settle the waiting rows among these as failed. Returns their number. In scope."""
        return self._settle_open(rows, {**self.failed, "reason": reason}, with_leased=False)

    def requeue(self, rows: "QuerySet[Any]", **values: Any) -> int:
        """Have settled rows delivered again from their first attempt. Returns their number. In scope.

        The caller enqueues their lanes.
        """
        defaults = {**self.waiting, "attempts": 0, "due_at": timezone.now(), "leased_until": None}
        return rows.exclude(self.open_rows).update(**{**defaults, **values})

    def postpone(self, lane: Lane, until: datetime) -> int:
        """Have the lane's waiting rows that are due earlier wait until then. Returns their number. In
        scope.
        """
        return self._rows(lane).filter(leased_until=None, due_at__lt=until).update(due_at=until)

    def _settle_open(self, rows: "QuerySet[Any]", values: Values, *, with_leased: bool) -> int:
        unsettled = rows.filter(self.open_rows)
        if not with_leased:
            unsettled = unsettled.filter(leased_until=None)
        return unsettled.update(leased_until=None, **values)

    def _has_enough_under_way(self, lane: Lane, now: datetime) -> bool:
        organisation = {"organisation_id": lane["organisation_id"]}
        return any(
            rows.filter(leased_until__gt=now).values("leased_until").distinct().count() >= batches_max
            for rows, batches_max in (
                (self._rows(lane), BATCHES_MAX),
                (self._rows(organisation), BATCHES_OF_ORGANISATION_MAX),
            )
        )

    def _rows(self, lane: Lane) -> "QuerySet[Any]":
        return self.model._default_manager.filter(self.open_rows, **lane)

    def _due(self, rows: "QuerySet[Any]", now: datetime) -> "QuerySet[Any]":
        is_free = Q(leased_until=None) | Q(leased_until__lte=now)
        return rows.filter(self.is_deliverable, is_free, due_at__lte=now)

    def _enqueue_at(self, lane: Lane, at: datetime) -> None:
        """Defer one job per minute: an earlier job does not replace a later one, nor a later an earlier."""
        lock = f"{self._lock(lane)} {at:%Y-%m-%dT%H:%M}"
        enqueue_once(self.task_name, lane, queueing_lock=lock, at=at)

    def _lock(self, lane: Lane) -> str:
        return " ".join([self.task_name, *(str(lane[column]) for column in self.lane_columns)])


@dataclass(kw_only=True)
class Claim:
    """A batch of rows, leased to this worker."""

    outbox: Outbox
    lane: Lane
    ids: Collection[int]
    leased_until: datetime
    """The end of the lease, which also identifies the batch in the rows."""

    @property
    def organisation_id(self) -> int:
        return self.lane["organisation_id"]

    def rows(self, ids: Collection[int] | None = None) -> "QuerySet[Any]":
        """Return those that are still leased to this worker. In scope."""
        rows = self.outbox.model._default_manager.filter(
            self.outbox.open_rows, organisation_id=self.organisation_id
        )
        return rows.filter(pk__in=self.ids if ids is None else ids, leased_until=self.leased_until)

    def settle(self, values: Values, *, ids: Collection[int] | None = None) -> None:
        """Store the outcome of the batch, or of some of it, and end the lease of these rows."""
        with organisation_scope(self.organisation_id):
            self.rows(ids).update(leased_until=None, **values)

    def retry(
        self,
        reason: str,
        *,
        ids: Collection[int] | None = None,
        seconds_min: float = 0.0,
        values: Values | None = None,
    ) -> None:
        """Have the rows attempted again after the outbox's pause, and not before `seconds_min`.

        After too many attempts they have failed.
        """
        with organisation_scope(self.organisation_id):
            attempts = self.rows(ids).aggregate(most=Max("attempts"))["most"]
            if attempts is None:
                return
            changed = {**(values or {}), "reason": self._truncate(reason)}
            facts = {
                "task": self.outbox.task_name,
                "reason": changed["reason"],
                "attempts": attempts,
                **self.lane,
            }
            if attempts >= self.outbox.attempts_max:
                log.error("delivery_failed", **facts)
                self.settle(changed | dict(self.outbox.failed), ids=ids)
                return
            log.info("delivery_delayed", **facts)
            pause = max(self.outbox.retry_seconds(attempts), seconds_min)
            due_at = timezone.now() + timedelta(seconds=pause)
            self.settle({"due_at": due_at, **self.outbox.waiting, **changed}, ids=ids)

    def retry_after_bug(self, error: Exception) -> None:
        """Retry rows whose delivery failed because of a bug in Koppel, except those that must not be
        delivered twice.
        """
        with organisation_scope(self.organisation_id):
            self.outbox.settle_interrupted(self.rows())
            self.retry(type(error).__name__)

    def release(
        self, *, ids: Collection[int] | None = None, seconds: float = 0.0, values: Values | None = None
    ) -> None:
        """Release the rows as if they had not been attempted."""
        changed = {**self.outbox.waiting, "attempts": F("attempts") - 1, **(values or {})}
        if seconds:
            changed["due_at"] = timezone.now() + timedelta(seconds=seconds)
        self.settle(changed, ids=ids)

    def extend(self, lease: timedelta, values: Values) -> bool:
        """Renew the lease of the whole batch. Returns False, without a change, when another worker has some
        of it.
        """
        with organisation_scope(self.organisation_id):
            if set(self.rows().select_for_update(of=("self",)).values_list("pk", flat=True)) != set(self.ids):
                return False
            leased_until = timezone.now() + lease
            self.rows().update(leased_until=leased_until, **values)
        self.leased_until = leased_until
        return True

    def _truncate(self, reason: str) -> str:
        column: Any = self.outbox.model._meta.get_field("reason")
        return reason[: column.max_length]


@dataclass(frozen=True)
class BatchResult:
    """The result of a batch: the number delivered, and how long the lane pauses (None: no pause)."""

    delivered: int = 0
    pause_seconds: float | None = None


async def deliver_due(outbox: Outbox, lane: Lane, deliver: Callable[[Claim], Awaitable[BatchResult]]) -> int:
    """Deliver the lane's due rows for at most `TURN_SECONDS`; if rows remain, enqueue another job.

    During a quarantine nothing is claimed. `deliver` settles every row of its claim; if it raises
    `Quarantined`, the claim is released. Returns the number delivered.
    """
    ends_at, delivered = time.monotonic() + TURN_SECONDS, 0
    while await quarantine.current_async() is None:
        claim = await run_in_thread(partial(outbox.claim, lane))
        if claim is None:
            await run_in_thread(partial(outbox.schedule, lane))
            break
        try:
            result = await _deliver(claim, deliver)
        except Quarantined:
            await run_in_thread(claim.release)
            break
        delivered += result.delivered
        if result.pause_seconds is not None:
            await run_in_thread(partial(outbox.schedule, lane, pause_seconds=result.pause_seconds))
            break
        if time.monotonic() > ends_at:
            await run_in_thread(partial(outbox.enqueue_again, lane))
            break
    return delivered


async def _deliver(claim: Claim, deliver: Callable[[Claim], Awaitable[BatchResult]]) -> BatchResult:
    """Attempt the batch. A delivery that fails in Koppel's own code is retried, so that it does not block all
    others.
    """
    try:
        return await deliver(claim)
    except Quarantined:
        raise
    except Exception as error:
        if is_outage(error):
            raise  # nothing can be stored; the rows are due again when their lease is over
        log.exception("delivery_crashed", task=claim.outbox.task_name, ids=list(claim.ids), **claim.lane)
        await run_in_thread(partial(claim.retry_after_bug, error))
        return BatchResult()
