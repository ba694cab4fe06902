"""The results of `koppel check`."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class CheckFinding:
    """The result of one check of the installation."""

    topic: str
    is_ok: bool
    text: str
    """A sentence: what is in order, or what is wrong and what to do."""
    is_advice: bool = False
    """Whether the installation works, and could be improved."""


def advice(topic: str, text: str) -> CheckFinding:
    return CheckFinding(topic=topic, is_ok=True, text=text, is_advice=True)
