"""A vendor whose tokens live 600 s and who refuses a refresh before 570 s.

The tokens of 1,000 lifetimes are requested at random moments and used in a call to the API. No refresh may be
early, and no token expired. The clock is simulated: by the sandbox's own, and in Koppel within this process,
where nothing but the vault runs.
"""

import asyncio
import random
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from bench._app import BenchApp, bench_app
from koppel.kit.clock import clock_set_to
from tests.fixtures.stack import CLIENTS

CLIENT = CLIENTS["company_list"]
CYCLES = 1000
LIFETIME_SECONDS, NOT_BEFORE_SECONDS = 600, 570


def run() -> list[dict[str, Any]]:
    with bench_app(companies=1, lines=20) as app:
        app.sandbox.client(
            CLIENT,
            access_seconds=LIFETIME_SECONDS,
            refresh_not_before_seconds=NOT_BEFORE_SECONDS,
            grace_seconds=0,
        )
        late = asyncio.run(_live(app))
        summary = app.sandbox.control("tokens")
    return [
        _none("refreshes that the vendor refused as too early", summary["too_early"], "refusals"),
        _none("calls with a token that had ended", late, "answers 401"),
        _none("invalid_grant", summary["refusals"].get("invalid_grant", 0), "answers"),
        {
            "name": "token calls",
            "value": summary["calls"]["refresh_token"],
            "unit": "calls",
            "to_reach": CYCLES,
            "holds": summary["calls"]["refresh_token"] >= CYCLES,
        },
    ]


async def _live(app: BenchApp) -> int:
    """Return the number of calls that were answered 401."""
    from koppel.connections.sessions import runtime
    from koppel.connector.registry import connectors
    from koppel.kit.http.client import HttpClient, origin_of
    from tests.vault.factories import create_grants

    key = app.connected.app.connector
    connectors()[key] = _Punctual(connectors()[key])
    clock = _Clock()
    dice = random.Random(570)
    late = 0
    granted = (
        await asyncio.to_thread(lambda: create_grants(app.sandbox, app.connected.connection, expired=False))
    )[0]
    with clock_set_to(clock.now):
        async with HttpClient() as http, runtime.runtime(http, size=2) as process_runtime:
            for _cycle in range(CYCLES):
                issued = clock.now()
                for seconds in _moments(dice):
                    clock.set(issued + timedelta(seconds=seconds))
                    await asyncio.to_thread(_set_clock, app, clock.now())
                    token = await process_runtime.vault.get_access_token(
                        granted.organisation_id, granted.grant_id
                    )
                    answer = await http.send(
                        "GET",
                        f"{app.sandbox.url}/API/resources/v1/context",
                        allowed_origins=[origin_of(app.sandbox.url)],
                        headers={"Authorization": f"Bearer {token.reveal()}"},
                    )
                    late += answer.status == 401
    return late


class _Clock:
    """Runs like the sandbox's clock, from the moment it was set to."""

    def __init__(self) -> None:
        self.set(datetime.now(UTC))

    def set(self, moment: datetime) -> None:
        self._moment, self._since = moment, time.monotonic()

    def now(self) -> datetime:
        return self._moment + timedelta(seconds=time.monotonic() - self._since)


def _moments(dice: random.Random) -> list[float]:
    """Return moments of use, in seconds after issue.

    They lie in the middle, just before and after a refresh is allowed, and after an idle time. The last one
    renews the token, from which the next lifetime counts.
    """
    last = dice.choice((NOT_BEFORE_SECONDS + 1.5, dice.uniform(572, 599.9), dice.uniform(600, 5000)))
    return [dice.uniform(1, 560), dice.uniform(560, 569.9), NOT_BEFORE_SECONDS - 0.01, last]


def _set_clock(app: BenchApp, moment: datetime) -> None:
    app.sandbox.control("clock", {"now": moment.isoformat()})


class _Punctual:
    """The connector, for an app at a vendor that refuses early refreshes."""

    def __init__(self, connector: Any) -> None:
        self._connector = connector
        self.descriptor = replace(
            connector.descriptor,
            refresh_not_before=timedelta(seconds=NOT_BEFORE_SECONDS),
            keep_alive_within=None,
        )

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connector, name)


def _none(name: str, value: int, unit: str) -> dict[str, Any]:
    return {"name": name, "value": value, "unit": unit, "to_reach": 0, "holds": value == 0}
