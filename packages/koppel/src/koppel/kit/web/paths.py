"""Paths that are needed before URLs are resolved, or without Django. All others are reversed by name."""

ACCOUNTS = "/accounts/"
"""Sign-in pages. The cookie of a known browser is sent to these paths only."""
API = "/api/"
"""Responses, also errors, are JSON; requests carry bearer tokens."""
LIVE = "/livez"
"""Answered by the web server itself, without a thread or the database: whether the process is alive."""
READY = "/readyz"
"""Likewise: whether it can serve requests. Requested by load balancers and `koppel up`."""
HEALTH = "/healthz"
"""The former name of `READY`."""
READINESS = (READY, HEALTH)
