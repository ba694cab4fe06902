"""Hooks of the health of the installation."""

from koppel.kit.health.alarms import AlarmChanges
from koppel.kit.hooks import SingleHook


def _notify_nobody(_changes: AlarmChanges) -> bool:
    return False


notify_operators = SingleHook[[AlarmChanges], bool](_notify_nobody)
"""Returns whether operators were notified; if not, they are later."""
