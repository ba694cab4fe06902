"""Logs to stderr, redacted."""

from koppel.kit.logging.setup import configure, log_context

__all__ = ["configure", "log_context"]
