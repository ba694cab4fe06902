"""The sandbox's clock. It runs, and can be set and moved."""

import time
from datetime import UTC, datetime, timedelta


class Clock:
    def __init__(self) -> None:
        self._offset = 0.0

    def seconds(self) -> float:
        """Return the sandbox's time in seconds since 1970."""
        return time.time() + self._offset

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.seconds(), UTC)

    def set(self, moment: datetime) -> None:
        self._offset = moment.timestamp() - time.time()

    def reset(self) -> None:
        self._offset = 0.0

    def advance(self, by: timedelta) -> None:
        self._offset += by.total_seconds()
