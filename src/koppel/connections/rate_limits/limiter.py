"""Call and error budgets, shared by all workers on all machines through PostgreSQL.

`Budgets` is one process's side: it holds slices of calls and goes to the database only for the next slice, once a second to
report, and then for all companies at once. The arithmetic stands in `koppel.connections.rate_limits.quota`. Nobody waits in here for
more than the answer of a call under way: a company without calls raises `RateLimited`, and its run goes back to the queue.
"""

import asyncio
import math
import os
import socket
import time
import uuid
from collections.abc import Callable, Iterable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field

import msgspec
import structlog

from koppel.connections.rate_limits import quota
from koppel.connections.rate_limits.quota import LEASE_SECONDS, Allowance, Grant, Reading, Report, nearer
from koppel.connections.vault.http import PlainHttp
from koppel.connector.errors import RateLimited
from koppel.kit.database import Connection, Database
from koppel.kit.http import Response
from koppel.kit.quarantine import Quarantined

REPORT_SECONDS = 1.0
IDLE_SECONDS = 2.0
"""A slice that was not used for so long is given back."""
RENEW_SECONDS = 5.0
USABLE_SECONDS = LEASE_SECONDS - 5
"""Stop using a slice well before its end: a report may be late, a clock uneven."""
APP_ERRORS_MAX = 60
"""So many failed calls a minute through one app registration, over all companies, say that the vendor is down."""
TOO_MANY_REQUESTS, SERVER_ERROR = 429, 500
RETRY_SECONDS_DEFAULT = 60.0
SECONDS_MAX = 86_400.0
"""What a vendor states is believed for a day at most: an absurd number must not close a company for ever."""
EPOCH = 1_000_000_000

before_call: ContextVar[Callable[[], None] | None] = ContextVar("before_call", default=None)
"""Who performs work sets it to be asked before each call; it may raise one of the connector's errors."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, order=True)
class Key:
    """Whose budget. `company` is the vendor's id; '' stands for the app registration as a whole."""

    app_id: int
    company: str


@dataclass
class _Slice:
    """What this process holds for one company and organisation, and what it did that is not reported yet.

    Times are of the monotonic clock, also those in `told`: they become the database's when they are reported."""

    left: int = 0
    until: float = 0.0
    under_way: int = 0
    used_at: float = 0.0
    reported_at: float = 0.0
    told: Report = field(default_factory=Report)
    answered: asyncio.Event = field(default_factory=asyncio.Event)

    def is_usable(self) -> bool:
        return self.left > 0 and time.monotonic() < self.until


Place = tuple[Key, int]


class Budgets:
    """One per process; close it to give everything back."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._name = f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:8]}"
        self._slices: dict[Place, _Slice] = {}
        self._asked: dict[Place, asyncio.Future[Grant]] = {}
        self._granting: dict[Place, asyncio.Future[Grant]] = {}
        self._exchanging: asyncio.Task[None] | None = None
        self._turn = asyncio.Lock()
        self._reporting: asyncio.Task[None] | None = None

    async def spend(self, key: Key, organisation_id: int) -> None:
        """Before a call; `answered` or `failed` must follow. Raises `RateLimited` when there is none to be had now."""
        if self._reporting is None:
            self._reporting = asyncio.create_task(self._report_for_ever())
        place = (key, organisation_id)
        held = self._slices.setdefault(place, _Slice())
        while not held.is_usable():
            held.answered.clear()
            held.used_at = time.monotonic()
            grant = await self._ask(place)
            if grant.calls == 0 and grant.reason == "busy" and held.under_way:
                await held.answered.wait()
            elif grant.calls == 0:
                raise _refusal(grant)
            held = self._slices.setdefault(place, _Slice())
        held.left -= 1
        held.under_way += 1
        held.used_at = time.monotonic()

    def answered(self, key: Key, organisation_id: int, answer: Response) -> None:
        """A call came back, with whatever status."""
        held = self._over((key, organisation_id))
        readings = _readings(answer.headers)
        held.told.readings |= {name: nearer(held.told.readings.get(name), one) for name, one in readings.items()}
        held.told.blind += not readings
        held.told.errors += answer.status >= SERVER_ERROR
        held.told.answered |= answer.status < SERVER_ERROR or bool(readings)
        if answer.status == TOO_MANY_REQUESTS:
            held.left = 0
            seconds = _seconds(answer.headers.get("retry-after", ""), RETRY_SECONDS_DEFAULT)
            held.told.blocked_until = time.monotonic() + seconds

    def failed(self, key: Key, organisation_id: int, *, ours: bool) -> None:
        """A call ended without an answer; the vendor may have counted it. `ours`: we broke it off, which is no error of his."""
        held = self._over((key, organisation_id))
        held.told.blind += 1
        held.told.errors += not ours

    async def close(self) -> None:
        """Report what was done and give back what was not."""
        if self._reporting is not None:
            self._reporting.cancel()
            await asyncio.gather(self._reporting, return_exceptions=True)
        if self._exchanging is not None:
            await asyncio.gather(self._exchanging, return_exceptions=True)
        async with self._turn:
            if self._slices:
                await self._exchange({}, list(self._slices), done=True)

    def _over(self, place: Place) -> _Slice:
        held = self._slices.setdefault(place, _Slice())
        held.under_way = max(0, held.under_way - 1)
        held.told.made += 1
        held.used_at = time.monotonic()
        held.answered.set()
        return held

    async def _ask(self, place: Place) -> Grant:
        """Those who ask while an exchange is under way share the next one; those for whose place it is share its grant: an
        exchange of their own would give back what the first to ask did not come to use."""
        future = self._granting.get(place) or self._asked.get(place)
        if future is None:
            future = self._asked[place] = asyncio.get_running_loop().create_future()
        if self._exchanging is None or self._exchanging.done():
            self._exchanging = asyncio.create_task(self._exchange_asked())
        return await asyncio.shield(future)

    async def _exchange_asked(self) -> None:
        while self._asked:
            asked: dict[Place, asyncio.Future[Grant]] = {}
            try:
                async with self._turn:
                    asked, self._asked = self._asked, {}
                    self._granting = asked
                    await self._exchange(asked, list(asked), done=True)
            except Exception as error:
                for future in asked.values():
                    if not future.done():
                        future.set_exception(error)
                        future.exception()  # nobody may be waiting any more
            finally:
                self._granting = {}

    async def _report_for_ever(self) -> None:
        while True:
            await asyncio.sleep(REPORT_SECONDS)
            try:
                async with self._turn:
                    await self._report()
            except Exception as error:
                log.warning("budgets_not_reported", error=type(error).__name__, reason=str(error)[:200])

    async def _report(self) -> None:
        """Give back what lies idle, tell what was done, renew what is in use."""
        now = time.monotonic()
        idle, active = [], []
        for place, held in self._slices.items():
            if now - held.used_at > IDLE_SECONDS and not held.under_way:
                idle.append(place)
            elif held.told.made or now - held.reported_at > RENEW_SECONDS:
                active.append(place)
        for places, done in ((idle, True), (active, False)):
            if places:
                await self._exchange({}, places, done=done)

    async def _exchange(
        self, asked: Mapping[Place, "asyncio.Future[Grant]"], places: list[Place], *, done: bool
    ) -> None:
        """In one transaction: report for all `places`, take for those who asked."""
        told = {place: self._hand_over(place, done=done) for place in places}
        try:
            grants = await self._settle(told, set(asked))
        except BaseException:
            for place, report in told.items():
                self._take_back(place, report)
            raise
        for place in places:
            held = self._slices[place]
            held.until = held.reported_at + USABLE_SECONDS
            if place in asked:
                held.left = grants[place].calls
                held.used_at = time.monotonic()  # who asked comes to use it in a moment
                if not asked[place].done():
                    asked[place].set_result(grants[place])
            elif done and not held.under_way and not held.told.made and place not in self._asked:
                # Who asked meanwhile has looked at this slice: it is the one that the next exchange reports and fills.
                del self._slices[place]

    def _hand_over(self, place: Place, *, done: bool) -> Report:
        held = self._slices[place]
        report, held.told = held.told, Report()
        report.done, report.under_way = done, held.under_way
        held.reported_at = time.monotonic()
        if done:
            held.left = 0
        return report

    def _take_back(self, place: Place, report: Report) -> None:
        """The database did not hear it: tell it again with the next report."""
        held = self._slices.setdefault(place, _Slice())
        newer = held.told
        newer.made += report.made
        newer.blind += report.blind
        newer.errors += report.errors
        newer.answered |= report.answered
        newer.blocked_until = max(newer.blocked_until, report.blocked_until)
        newer.readings = {**report.readings, **newer.readings}

    async def _settle(self, told: Mapping[Place, Report], asking: set[Place]) -> dict[Place, Grant]:
        keys = {key for key, _organisation in told}
        keys |= {Key(key.app_id, "") for (key, _organisation), report in told.items() if report.errors}
        asked_at = time.monotonic()
        async with self._database.for_installation() as connection:
            states, down, now = await _read(connection, keys)
            grants: dict[Place, Grant] = {}
            for (key, organisation), report in told.items():
                quota.report(now, states[key], self._holder(organisation), organisation, _dated(report, now - asked_at))
                if report.errors:
                    quota.report(now, states[Key(key.app_id, "")], "", 0, Report(errors=report.errors))
            for key, organisation in sorted(asking):
                wait = down.get(key.app_id, 0.0)
                grants[(key, organisation)] = (
                    Grant(0, wait, "errors")
                    if wait
                    else quota.take(now, states[key], self._holder(organisation), organisation)
                )
            await _write(connection, states)
        return grants

    def _holder(self, organisation_id: int) -> str:
        return f"{self._name}:{organisation_id}"


class MeteredHttp:
    """`PlainHttp` for one company: each call is paid from its budget, and each answer tells the budget what is left."""

    def __init__(self, http: PlainHttp, budgets: Budgets, key: Key, organisation_id: int) -> None:
        self._http, self._budgets, self._place = http, budgets, (key, organisation_id)

    async def send(
        self,
        method: str,
        url: str,
        *,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Response:
        """Raises `RateLimited` before a call that the budget does not allow, and what `before_call` raises."""
        if ask := before_call.get():
            ask()
        await self._budgets.spend(*self._place)
        try:
            answer = await self._http.send(method, url, params=params, headers=headers)
        except BaseException as error:
            self._budgets.failed(*self._place, ours=isinstance(error, asyncio.CancelledError | Quarantined))
            raise
        self._budgets.answered(*self._place, answer)
        return answer


def metered(
    http: PlainHttp, budgets: Budgets, app_id: int, company: str | None, organisation_id: int
) -> PlainHttp | MeteredHttp:
    """Calls for a company are counted by the vendor; those that only list companies are not."""
    return http if company is None else MeteredHttp(http, budgets, Key(app_id, company), organisation_id)


def _refusal(grant: Grant) -> RateLimited:
    if grant.reason == "errors":
        sentence = "Too many calls failed: Koppel leaves the accounting system alone for a moment."
        return RateLimited("error_budget", sentence, retry_after_seconds=grant.wait_seconds)
    sentence = "The calls that the accounting system allows for this company are used up for now."
    return RateLimited("call_budget", sentence, retry_after_seconds=grant.wait_seconds)


def _readings(headers: Mapping[str, str]) -> dict[str, Reading]:
    """`X-RateLimit-*` as the de-facto standard has them; `Reset` in seconds, or since 1970. By policy."""
    try:
        limit, remaining = int(headers["x-ratelimit-limit"]), int(headers["x-ratelimit-remaining"])
        reset = float(headers["x-ratelimit-reset"])
    except (KeyError, ValueError):
        return {}
    if not math.isfinite(reset):
        return {}
    seconds = min(max(0.0, reset - time.time() if reset > EPOCH else reset), SECONDS_MAX)
    return {headers.get("x-ratelimit-policy", ""): Reading(limit, max(0, remaining), time.monotonic() + seconds)}


def _dated(told: Report, offset: float) -> Report:
    """With the database's clock in place of ours. The offset is taken so that ends are late rather than early."""
    readings = {name: Reading(one.limit, one.remaining, one.ends_at + offset) for name, one in told.readings.items()}
    blocked_until = told.blocked_until + offset if told.blocked_until else 0.0
    return msgspec.structs.replace(told, readings=readings, blocked_until=blocked_until)


def _seconds(text: str, default: float) -> float:
    try:
        return min(max(1.0, float(text)), SECONDS_MAX)
    except ValueError:
        return default


_decode = msgspec.json.Decoder(Allowance)

_READ = """
SELECT budget.app_id, budget.company, budget.state::text, app.state::text, extract(epoch FROM clock_timestamp())::float8
  FROM connections_budget budget
  LEFT JOIN connections_budget app ON app.app_id = budget.app_id AND app.company = ''
 WHERE (budget.app_id, budget.company) IN (SELECT * FROM unnest(%s::bigint[], %s::text[]))
 ORDER BY budget.app_id, budget.company FOR UPDATE OF budget
"""
_ADD = """
INSERT INTO connections_budget (app_id, company, state, at)
SELECT app_id, company, '{}', now() FROM unnest(%s::bigint[], %s::text[]) AS new (app_id, company) ORDER BY 1, 2
    ON CONFLICT DO NOTHING
"""
_WRITE = """
UPDATE connections_budget budget SET state = new.state::jsonb, at = now()
  FROM unnest(%s::bigint[], %s::text[], %s::text[]) AS new (app_id, company, state)
 WHERE budget.app_id = new.app_id AND budget.company = new.company
"""


async def _read(connection: Connection, keys: Iterable[Key]) -> tuple[dict[Key, Allowance], dict[int, float], float]:
    """The documents, locked in one order by everybody; app registrations through which too much failed lately, and how long to
    leave them alone; and the database's time."""
    wanted = sorted(keys)
    columns = [[one.app_id for one in wanted], [one.company for one in wanted]]
    rows = await (await connection.execute(_READ, columns)).fetchall()
    if len(rows) < len(wanted):
        await connection.execute(_ADD, columns)
        rows = await (await connection.execute(_READ, columns)).fetchall()
    states, now = {Key(app_id, company): _decode.decode(state) for app_id, company, state, *_rest in rows}, rows[-1][4]
    apps = {app_id: _decode.decode(app) for app_id, _company, _state, app, _now in rows if app}
    waits = {app_id: quota.errors_wait_seconds(now, one, APP_ERRORS_MAX) for app_id, one in apps.items()}
    return states, {app_id: seconds for app_id, seconds in waits.items() if seconds > 0}, now


async def _write(connection: Connection, states: Mapping[Key, Allowance]) -> None:
    keys = list(states)
    texts = [msgspec.json.encode(states[key]).decode() for key in keys]
    await connection.execute(_WRITE, [[one.app_id for one in keys], [one.company for one in keys], texts])
