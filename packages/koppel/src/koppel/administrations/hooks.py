"""Hooks of administrations: content for their pages from higher apps, and calls when one starts, stops or is
erased.

All are called in the caller's transaction and scope, which a listener's exception undoes, unless said
otherwise.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.utils.functional import Promise

from koppel.kit.hooks import Hook, Registry, SingleHook
from koppel.organisations.roles import Actor


@dataclass(frozen=True)
class SyncProgress:
    """A sync under way. `done` and `expected` count rows of `resource`; None = the source did not say."""

    percent: int | None
    resource: str
    done: int
    expected: int | None = None
    seconds_left: int | None = None


@dataclass(frozen=True)
class ImportCounts:
    """Administrations of an import whose first sync is over, and those whose is not."""

    completed: int
    open: int


@dataclass(frozen=True)
class Tab:
    """`url_name` takes `administration_id`."""

    label: str | Promise
    url_name: str
    order: int


@dataclass(frozen=True)
class Card:
    """A part of the Overview, loaded by itself from `url_name` (takes `administration_id`)."""

    url_name: str
    order: int


@dataclass(frozen=True)
class ChangeCounts:
    """The changes of one administration's books by syncs within a period."""

    administration_id: int
    added: int
    changed: int
    deleted: int

    @property
    def total(self) -> int:
        return self.added + self.changed + self.deleted


@dataclass(frozen=True)
class ActiveSync:
    """A sync that runs or waits. `seconds_left` None: not known yet."""

    administration_id: int
    is_import: bool
    is_running: bool
    seconds_left: int | None


tabs = Registry[Tab]()
"""Tabs of an administration's page, by key."""

cards = Registry[Card]()
"""Cards of an administration's overview, by key."""

progress_of = SingleHook[[int, Sequence[int]], Mapping[int, SyncProgress]](lambda *_: {})
"""Called with organisation and administrations: progress by administration; administrations without a sync
are absent.
"""

changes_since = SingleHook[[int, datetime], Iterable[ChangeCounts]](lambda *_: ())
"""Called with an organisation and a time: the administrations whose books changed since then, with their
changes, most changes first.

The caller shows only what its actor may see.
"""

active_syncs = SingleHook[[int], Iterable[ActiveSync]](lambda _organisation_id: ())
"""Called with an organisation: every sync that runs or waits."""

queue_first_syncs = Hook[[Actor, Sequence[int]], object]()
"""Called with an actor and administrations that were never read in full and are activated again: their
first sync is queued.
"""

stop_syncs = Hook[[int, Sequence[int]], object]()
"""Called with organisation and administrations that are deactivated, withdrawn or erased: their runs end."""

erase_data = Hook[[int, int], bool]()
"""Called repeatedly with organisation and administration, until every listener has deleted its data about it.

Each call deletes a part, in a transaction of its own, and returns True while there may be more. After an
exception it is called again later.
"""

sync_url = SingleHook[[int], str](lambda _administration_id: "")
"""Called with an administration's id: the page of its syncs, with the button to retry."""

start_sync_url = SingleHook[[int], str](lambda _administration_id: "")
"""Called with an administration's id: where a form posts to start a sync."""

import_progress_url = SingleHook[[int], str](lambda _import_id: "")
"""Called with an import's id: the page on which it is followed."""

import_seconds_left = SingleHook[[Actor, int, ImportCounts, Sequence[SyncProgress]], int | None](
    lambda *_: None
)
"""Called with an actor, an import, its counts and the progress of those being read: the seconds that it still
needs, None while that is not measured.
"""

export_url = SingleHook[[int], str](lambda _administration_id: "")
"""Called with an administration's id: a file of all its books."""


def ordered_tabs() -> list[tuple[str, Tab]]:
    """Return the tabs in their order, with their keys."""
    return sorted(tabs.items(), key=lambda item: item[1].order)


def ordered_cards() -> list[Card]:
    return sorted(cards.values(), key=lambda card: card.order)
