"""Call limits: fixed windows per company and client from their first call, and the response headers.

The vendor documents one window of an hour and the four headers; its number of calls is not published (15,000
was the last one known). Several windows are for tests of clients. A response states the window with the
fewest calls left, of equal ones the one that ends last. A refused call counts too.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

HOURLY = "4-fixed-window"
LIMIT, SECONDS = 15_000, 3600.0


@dataclass
class CallWindow:
    ends_at: float
    used: int = 0


class Limits:
    """`quotas` maps a policy to a number of calls in a number of seconds."""

    def __init__(self) -> None:
        self.quotas: dict[str, tuple[int, float]] = {HOURLY: (LIMIT, SECONDS)}
        self._windows: dict[tuple[int, str, str], CallWindow] = {}

    def reset(self) -> None:
        self.quotas = {HOURLY: (LIMIT, SECONDS)}
        self._windows.clear()

    def change(self, settings: Mapping[str, Any]) -> None:
        """Change the quotas.

        `quotas` replaces all; `quota` and `quota_seconds` set the hourly one.
        """
        if "quotas" in settings:
            self.quotas = {
                str(policy): (int(calls), float(seconds))
                for policy, (calls, seconds) in settings["quotas"].items()
            }
        if "quota" in settings or "quota_seconds" in settings:
            calls, seconds = self.quotas.get(HOURLY, (LIMIT, SECONDS))
            self.quotas[HOURLY] = (
                int(settings.get("quota", calls)),
                float(settings.get("quota_seconds", seconds)),
            )

    def acquire(self, company: int, client: str, now: float) -> tuple[bool, dict[str, str]]:
        """Count a call. Return whether it is allowed, and the headers of its response."""
        stated: list[tuple[int, float, str]] = []
        for policy, (limit, seconds) in self.quotas.items():
            key = (company, client, policy)
            window = self._windows.get(key)
            if window is None or now >= window.ends_at:
                window = self._windows[key] = CallWindow(now + seconds)
            window.used += 1
            stated.append((limit - window.used, -window.ends_at, policy))
        remaining, ends_at, policy = min(stated)
        reset = str(max(1, math.ceil(-ends_at - now)))
        headers = {
            "X-RateLimit-Limit": str(self.quotas[policy][0]),
            "X-RateLimit-Remaining": str(max(0, remaining)),
            "X-RateLimit-Reset": reset,
            "X-RateLimit-Policy": policy,
        }
        if remaining < 0:
            headers["Retry-After"] = reset
        return remaining >= 0, headers
