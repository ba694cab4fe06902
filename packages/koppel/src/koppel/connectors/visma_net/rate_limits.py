"""The call limit that Visma.net states in its answers, in four `X-RateLimit-` headers.

Source: docs.vismasoftware.no, api-reference/rate-limits (6 August 2026): one
window of an hour for each company and client.
"""

import time
from collections.abc import Mapping

from koppel.connector.contract import RateLimitStatus

EPOCH = 1_000_000_000
"""A reset after this is in seconds since 1970, one before in seconds from now: the vendor has stated both."""


def stated_rate_limits(headers: Mapping[str, str]) -> tuple[RateLimitStatus, ...]:
    """Return the limit in the headers (names in lower case); none when they are missing or cannot be true."""
    try:
        limit, remaining = int(headers["x-ratelimit-limit"]), int(headers["x-ratelimit-remaining"])
        reset = float(headers["x-ratelimit-reset"])
        seconds = reset - time.time() if reset > EPOCH else reset
        policy = headers.get("x-ratelimit-policy", "")
        # Not `max(0.0, seconds)`, which takes NaN for zero.
        return (RateLimitStatus(limit, max(0, remaining), 0.0 if seconds < 0 else seconds, policy),)
    except (KeyError, ValueError):
        return ()
