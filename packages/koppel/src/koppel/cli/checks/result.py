"""The results of `koppel check`."""

from dataclasses import dataclass


@dataclass(frozen=True)
class CheckFinding:
    """`text` is a sentence: what is well, or what is wrong and what to do. `is_advice`: it works, and could
    be better.
    """

    topic: str
    is_well: bool
    text: str
    is_advice: bool = False


def advice(topic: str, text: str) -> CheckFinding:
    return CheckFinding(topic, True, text, is_advice=True)
