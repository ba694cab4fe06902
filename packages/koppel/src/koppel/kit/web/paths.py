"""Paths that are needed before URLs are resolved, or without Django. All others are named and reversed."""

ACCOUNTS = "/accounts/"
"""Sign-in and all that belongs to it. The cookie of a known browser is sent to these pages alone."""
API = "/api/"
"""Answers JSON, also where it refuses, and takes bearer tokens."""
HEALTH = "/healthz"
"""What a load balancer and `koppel up` ask."""
