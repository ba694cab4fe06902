"""Rate limits of vendors, shared by all workers on all machines.

It guarantees that no window of a vendor is exceeded, that a refusal with a waiting time is honoured, and that
organisations and companies which share a limit get fair parts of it. Who has no calls left is told with
`RateLimited` and does not wait here. `quota` is the arithmetic, `quota_store` its rows, `leases` what a
process may still call, `reporter` the exchange between these, `limiter` what sessions use."""

from koppel.connections.rate_limits.leases import QuotaKey
from koppel.connections.rate_limits.limiter import RateLimitedHttp, RateLimiter, on_before_request

__all__ = ["QuotaKey", "RateLimitedHttp", "RateLimiter", "on_before_request"]
