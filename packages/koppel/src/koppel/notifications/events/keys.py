"""Keys that identify announcements of the same event."""

from dataclasses import dataclass


@dataclass(frozen=True)
class EventKey:
    """Distinguishes the events of a type: the kind of an object and its id. The database stores its text."""

    kind: str
    id: int

    def __str__(self) -> str:
        return f"{self.kind} {self.id}"
