"""Whoever may connect to the database may send messages to workers: these neither stop nor flood them."""

import asyncio
import time
from collections.abc import Iterable
from typing import Any, cast

import pytest
from procrastinate.connector import BaseConnector
from procrastinate.manager import JobManager

from koppel.kit.jobs.notifications import PAUSE_SECONDS, RobustJobManager

FOREIGN = [
    "x",
    "",
    "[" * 5000,
    "{}",
    "[]",
    "null",
    '{"type": "abort_job_requested", "job_id": 1}',
    '{"type": ["job_inserted"]}',
    '{"job_id": 1}',
]
NEW_JOB = '{"type": "job_inserted", "job_id": 1}'


class Messages:
    """A connector that receives these messages."""

    def __init__(self, payloads: list[str]) -> None:
        self._payloads = payloads

    async def listen_notify(self, on_notification: Any, channels: Iterable[str]) -> None:
        for payload in self._payloads:
            for channel in channels:
                await on_notification(channel=channel, payload=payload)


def passed_on(payloads: list[str]) -> list[Any]:
    """What Procrastinate's worker gets to see."""
    received: list[Any] = []

    async def receive(*, channel: str, notification: Any) -> None:
        received.append(notification)

    async def story() -> None:
        manager = RobustJobManager(cast("BaseConnector", Messages(payloads)))
        await manager.listen_for_jobs(on_notification=receive)
        await asyncio.sleep(1.5 * PAUSE_SECONDS)

    asyncio.run(story())
    return received


def test_foreign_messages_are_ignored() -> None:
    assert passed_on(FOREIGN) == []
    assert len(passed_on([*FOREIGN, NEW_JOB, *FOREIGN])) == 1


def test_many_messages_make_a_worker_look_no_more_often() -> None:
    began = time.monotonic()
    count = len(passed_on([NEW_JOB] * 20_000))
    assert 2 <= count <= 1 + (time.monotonic() - began) / PAUSE_SECONDS


def test_a_message_during_a_look_leads_to_another_look(monkeypatch: pytest.MonkeyPatch) -> None:
    """Procrastinate forgets it, and the job would wait for the next look by polling."""
    manager = RobustJobManager(cast("BaseConnector", Messages([NEW_JOB])))
    looks: list[int] = []

    async def look(*_arguments: Any) -> None:
        looks.append(1)
        if len(looks) == 1:  # the job is committed after this look has begun

            async def ignore(**_message: Any) -> None:
                pass

            await manager.listen_for_jobs(on_notification=ignore)

    monkeypatch.setattr(JobManager, "fetch_job", look)
    assert asyncio.run(manager.fetch_job(None, 1)) is None
    assert len(looks) == 2
