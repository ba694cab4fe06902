"""The call limit that Visma.net states in four `X-RateLimit-` headers of its responses.

Source: docs.vismasoftware.no, api-reference/rate-limits (6 August 2026): one window of an hour for each
company and client.
"""

import time
from collections.abc import Mapping

from koppel.connector.contract import RateLimitStatus

EPOCH = 1_000_000_000
"""A larger reset is a Unix timestamp, a smaller one counts seconds from now; the vendor documents both."""


def stated_rate_limits(headers: Mapping[str, str]) -> tuple[RateLimitStatus, ...]:
    """Return the limit in the headers (names in lower case); none if they are missing or impossible."""
    try:
        limit, remaining = int(headers["x-ratelimit-limit"]), int(headers["x-ratelimit-remaining"])
        reset = float(headers["x-ratelimit-reset"])
        seconds = reset - time.time() if reset > EPOCH else reset
        policy = headers.get("x-ratelimit-policy", "")
        # Not `max(0.0, seconds)`, which turns NaN into zero.
        return (
            RateLimitStatus(
                limit=limit,
                remaining=max(0, remaining),
                reset_seconds=0.0 if seconds < 0 else seconds,
                policy=policy,
            ),
        )
    except (KeyError, ValueError):
        return ()
