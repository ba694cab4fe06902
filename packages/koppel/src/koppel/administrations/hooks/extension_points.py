"""Where higher slices appear on the pages of an administration, without this slice knowing them."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.utils.functional import Promise


@dataclass(frozen=True)
class Progress:
    """A sync under way. `done` and `expected` count rows of `resource`; None = the source did not say."""

    percent: int | None
    resource: str
    done: int
    expected: int | None = None
    seconds_left: int | None = None


@dataclass(frozen=True)
class Tab:
    """`url_name` takes `administration_id`."""

    key: str
    label: str | Promise
    url_name: str
    order: int


@dataclass(frozen=True)
class Card:
    """A part of the Overview, loaded by itself from `url_name` (takes `administration_id`)."""

    key: str
    url_name: str
    order: int


@dataclass(frozen=True)
class ChangeCounts:
    """What syncs did to one administration's books in some time."""

    administration_id: int
    added: int
    changed: int
    deleted: int

    @property
    def total(self) -> int:
        return self.added + self.changed + self.deleted


@dataclass(frozen=True)
class ActiveSync:
    """A sync that runs or waits. `seconds_left` None: no telling yet."""

    administration_id: int
    is_import: bool
    is_running: bool
    seconds_left: int | None


ProgressProvider = Callable[[int, Sequence[int]], dict[int, Progress]]
ChangesProvider = Callable[[int, datetime], Iterable[ChangeCounts]]
ActiveSyncProvider = Callable[[int], Iterable[ActiveSync]]

_progress_providers: list[ProgressProvider] = []
_tabs: dict[str, Tab] = {}
_cards: dict[str, Card] = {}
_change_providers: list[ChangesProvider] = []
_active_sync_providers: list[ActiveSyncProvider] = []


def register_progress(provider: ProgressProvider) -> None:
    """`provider(organisation_id, administration_ids)` tells what is under way."""
    if provider not in _progress_providers:
        _progress_providers.append(provider)


def register_changes(provider: ChangesProvider) -> None:
    """`provider(organisation_id, since)` tells what changed in whose books, one line per administration."""
    if provider not in _change_providers:
        _change_providers.append(provider)


def register_active_syncs(provider: ActiveSyncProvider) -> None:
    """`provider(organisation_id)` tells every sync that runs or waits."""
    if provider not in _active_sync_providers:
        _active_sync_providers.append(provider)


def register_tab(tab: Tab) -> None:
    _tabs[tab.key] = tab


def register_card(card: Card) -> None:
    _cards[card.key] = card


def progress_of(organisation_id: int, administration_ids: Sequence[int]) -> dict[int, Progress]:
    """By administration id; those at rest are absent."""
    progress: dict[int, Progress] = {}
    for provider in _progress_providers:
        progress.update(provider(organisation_id, administration_ids))
    return progress


def changes_since(organisation_id: int, since: datetime) -> list[ChangeCounts]:
    """Of all administrations of the organisation: the caller shows what its actor may see. Biggest first."""
    changes = [one for provider in _change_providers for one in provider(organisation_id, since)]
    return sorted(changes, key=lambda one: (-one.total, one.administration_id))


def changed_since(organisation_id: int, since: datetime) -> list[int]:
    return [one.administration_id for one in changes_since(organisation_id, since)]


def active_syncs(organisation_id: int) -> list[ActiveSync]:
    return [one for provider in _active_sync_providers for one in provider(organisation_id)]


def tabs() -> list[Tab]:
    return sorted(_tabs.values(), key=lambda tab: tab.order)


def cards() -> list[Card]:
    return sorted(_cards.values(), key=lambda card: card.order)
