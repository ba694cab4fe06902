"""Logs to stderr, redacted."""

from koppel.kit.logging.setup import configure

__all__ = ["configure"]
