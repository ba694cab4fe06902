"""Quarantine: while it is on, nothing leaves this installation. See `state`."""

from koppel.kit.quarantine.reasons import Reason
from koppel.kit.quarantine.state import (
    CODE,
    SENTENCE,
    Quarantined,
    QuarantinePeriod,
    current,
    current_async,
    forget,
    last_known,
    refuse,
    refuse_async,
)

__all__ = [
    "CODE",
    "SENTENCE",
    "QuarantinePeriod",
    "Quarantined",
    "Reason",
    "current",
    "current_async",
    "forget",
    "last_known",
    "refuse",
    "refuse_async",
]
