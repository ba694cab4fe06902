"""Where higher slices appear on the pages of an administration, without this slice knowing them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

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


ProgressProvider = Callable[[int, Sequence[int]], dict[int, Progress]]

_progress: list[ProgressProvider] = []
_tabs: dict[str, Tab] = {}
_cards: dict[str, Card] = {}


def register_progress(provider: ProgressProvider) -> None:
    """`provider(organisation_id, administration_ids)` tells what is under way."""
    if provider not in _progress:
        _progress.append(provider)


def register_tab(tab: Tab) -> None:
    _tabs[tab.key] = tab


def register_card(card: Card) -> None:
    _cards[card.key] = card


def progress_of(organisation_id: int, administration_ids: Sequence[int]) -> dict[int, Progress]:
    """By administration id; those at rest are absent."""
    found: dict[int, Progress] = {}
    for provider in _progress:
        found.update(provider(organisation_id, administration_ids))
    return found


def tabs() -> list[Tab]:
    return sorted(_tabs.values(), key=lambda tab: tab.order)


def cards() -> list[Card]:
    return sorted(_cards.values(), key=lambda card: card.order)
