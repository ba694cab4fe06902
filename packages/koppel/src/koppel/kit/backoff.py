"""Exponential backoff: the time to wait before the next attempt.

Each user defines its own policy; there is no other formula.
"""

import random
from dataclasses import dataclass

JITTER = 0.2
EXPONENT_MAX = 64
"""Every policy has reached its cap at this exponent; higher powers overflow a float."""


@dataclass(frozen=True, kw_only=True)
class Backoff:
    """Growing pauses after failures."""

    base_seconds: float
    """The first pause."""
    cap_seconds: float
    """The longest pause."""
    factor: float = 2.0
    """Each pause is so many times as long as the one before."""

    def seconds(self, failures: int) -> float:
        """Return the pause after a failure, given the number of consecutive failures before it."""
        exponent = min(max(failures, 0), EXPONENT_MAX)
        return min(self.base_seconds * self.factor**exponent, self.cap_seconds)

    def jittered_seconds(self, failures: int) -> float:
        """Return the pause with jitter, so that simultaneous failures are not retried simultaneously."""
        return with_jitter(self.seconds(failures))


def with_jitter(seconds: float) -> float:
    """Return `seconds`, randomly shortened or lengthened by up to a fifth."""
    return seconds * random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311 - jitter
