"""Notifications of new jobs, which everybody who may connect to the database can send.

They only make a worker look for jobs earlier than it would by polling. Procrastinate's own listener ends with
the first message that is not JSON, and stops the job whose id a message names.
"""

import asyncio
import json
from collections.abc import Iterable

from procrastinate import jobs
from procrastinate.manager import JobManager, NotificationCallback, get_channel_for_queues

PAUSE_SECONDS = 0.05
"""Between two polls, however many messages come."""
JOB_INSERTED = "job_inserted"


class RobustJobManager(JobManager):
    """Ignores all messages but those of new jobs, and trusts nothing in them.

    Procrastinate forgets a message that comes while it looks for a job, and would look again by polling.
    """

    _announced = 0

    async def fetch_job(self, queues: Iterable[str] | None, worker_id: int) -> jobs.Job | None:
        while True:
            announced = self._announced
            job = await super().fetch_job(queues, worker_id)
            if job is not None or announced == self._announced:
                return job

    async def listen_for_jobs(
        self, *, on_notification: NotificationCallback, queues: Iterable[str] | None = None
    ) -> None:

        async def pass_on(*, channel: str, notification: jobs.Notification) -> None:
            self._announced += 1
            await on_notification(channel=channel, notification=notification)

        notifications = ThrottledNotifications(pass_on)
        await self.connector.listen_notify(
            on_notification=notifications.receive, channels=get_channel_for_queues(queues=queues)
        )


class ThrottledNotifications:
    """Passes messages on, at most one in `PAUSE_SECONDS`. Messages are taken at once: those that wait would
    fill the server's queue.
    """

    def __init__(self, on_notification: NotificationCallback) -> None:
        self._on_notification = on_notification
        self._notified_at = -PAUSE_SECONDS
        self._delayed_notification: asyncio.Task[None] | None = None

    async def receive(self, *, channel: str, payload: str) -> None:
        if not is_job_notification(payload) or (
            self._delayed_notification is not None and not self._delayed_notification.done()
        ):
            return
        pause = self._notified_at + PAUSE_SECONDS - asyncio.get_running_loop().time()
        if pause > 0:
            self._delayed_notification = asyncio.create_task(self._notify(channel, pause))
        else:
            await self._notify(channel, 0.0)

    async def _notify(self, channel: str, pause: float) -> None:
        await asyncio.sleep(pause)
        self._notified_at = asyncio.get_running_loop().time()
        notification = jobs.JobInserted(type="job_inserted", job_id=0)
        await self._on_notification(channel=channel, notification=notification)


def is_job_notification(payload: str) -> bool:
    """Return whether a message has the form of Procrastinate's own about a new job."""
    try:
        message = json.loads(payload)
    except (ValueError, RecursionError):
        return False
    return isinstance(message, dict) and message.get("type") == JOB_INSERTED
