"""Page preferences of a member: density, theme, shortcuts, and the layout of lists."""

from datetime import datetime
from typing import Literal

import msgspec

Density = Literal["comfortable", "compact"]
Theme = Literal["system", "light", "dark"]
DENSITIES: tuple[Density, ...] = ("comfortable", "compact")
THEMES: tuple[Theme, ...] = ("system", "light", "dark")
WIDTH_MIN, WIDTH_MAX = 64, 800
"""Of a column, in pixels."""


class ListLayout(msgspec.Struct, frozen=True):
    """The layout of a list: its columns in order, [] for the default ones, and the widths in pixels of
    resized columns.
    """

    columns: list[str] = []
    widths: dict[str, int] = {}


class Preferences(msgspec.Struct, frozen=True):
    """`lists`: layouts by the name of the list. `shortcuts`: single keys work in lists. `changes_seen_at`:
    the last visit to the recent changes, and `changes_seen_before` the visit before that one.
    """

    density: Density = "comfortable"
    theme: Theme = "system"
    shortcuts: bool = True
    lists: dict[str, ListLayout] = {}
    changes_seen_at: datetime | None = None
    changes_seen_before: datetime | None = None

    def layout(self, name: str) -> ListLayout:
        return self.lists.get(name, ListLayout())


DEFAULT_PREFERENCES = Preferences()
