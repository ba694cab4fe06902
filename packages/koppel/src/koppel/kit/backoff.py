"""Exponential back-off: the time to wait before trying again. Each user names its own policy; there is no
other formula.
"""

import random
from dataclasses import dataclass

JITTER = 0.2
EXPONENT_MAX = 64
"""Beyond this every policy has reached its cap, and the power would
soon be no number that Python can hold."""


@dataclass(frozen=True)
class Backoff:
    """The first pause is `base_seconds`; each later one is `factor` times as long, `cap_seconds` at most."""

    base_seconds: float
    cap_seconds: float
    factor: float = 2.0

    def seconds(self, failures: int) -> float:
        """Return the pause after a failure that followed `failures` others in a row."""
        exponent = min(max(failures, 0), EXPONENT_MAX)
        return min(self.base_seconds * self.factor**exponent, self.cap_seconds)

    def jittered_seconds(self, failures: int) -> float:
        """Return the pause with jitter, so that those who failed at the same
        time do not all come back at the same time."""
        return with_jitter(self.seconds(failures))


def with_jitter(seconds: float) -> float:
    """Return a duration between a fifth shorter and a fifth longer than `seconds`."""
    return seconds * random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311 - jitter
