"""Which announcements are the same event."""

from dataclasses import dataclass


@dataclass(frozen=True)
class EventKey:
    """What the events of a type are told apart by: the kind of a thing and its id. Its text is what the database stores."""

    kind: str
    id: int

    def __str__(self) -> str:
        return f"{self.kind} {self.id}"
