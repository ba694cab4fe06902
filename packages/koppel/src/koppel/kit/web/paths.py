"""Paths that are needed before URLs are resolved, or without Django. All others are reversed by name."""

ACCOUNTS = "/accounts/"
"""Sign-in pages. The cookie of a known browser is sent to these paths only."""
API = "/api/"
"""Responses, also errors, are JSON; requests carry bearer tokens."""
HEALTH = "/healthz"
"""Requested by load balancers and `koppel up`."""
