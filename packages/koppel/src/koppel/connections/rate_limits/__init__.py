"""Rate limits of vendors, shared by all workers on all machines.

Guarantees that no window of a vendor is exceeded, that a requested pause is kept, and that organisations and
companies share a limit fairly. `RateLimited` tells the caller that no call is left; nothing waits here.

`quota` is the arithmetic, `quota_store` its rows, `leases` the calls that a process may still make,
`reporter` the exchange between these, `limiter` the interface for sessions.
"""

from koppel.connections.rate_limits.leases import QuotaKey
from koppel.connections.rate_limits.limiter import RateLimitedHttp, RateLimiter, on_before_request

__all__ = ["QuotaKey", "RateLimitedHttp", "RateLimiter", "on_before_request"]
