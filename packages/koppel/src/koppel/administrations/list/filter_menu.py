"""The filters above the list: menus with their options, and chips for the active ones."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from koppel.administrations.display_state import DISPLAY_STATES, state_label
from koppel.administrations.list.query import MULTI_FILTERS, NONE, ListQuery
from koppel.company_registers.sectors.sections import SECTIONS
from koppel.issues.issue_types import get_issue_type

Label = str | Promise
OPTIONS_WITHOUT_SEARCH_MAX = 12
"""A menu with more options has a search field."""
CHIPS_PER_FILTER_MAX = 12
"""More values of one filter are one chip with their number, because each chip's link names all others."""

LABELS: Mapping[str, Label] = {
    "status": _("Status"),
    "division": _("Division"),
    "user": _("User"),
    "template": _("Template"),
    "sector": _("Sector"),
    "connection": _("Connection"),
    "freshness": _("Freshness"),
}
FRESHNESS_LABELS: Mapping[str, Label] = {
    "fresh": _("Fully synced since yesterday"),
    "stale": _("Older, within a week"),
    "old": _("Older than a week"),
    "never": _("Never fully synced"),
}
NONE_LABELS: Mapping[str, Label] = {
    "division": _("No division"),
    "user": _("No one selected"),
    "template": _("No template"),
    "sector": _("No sector"),
}
SINGLE_LABELS: Mapping[tuple[str, str], Label] = {
    ("issues", "any"): _("With issues"),
    ("issues", NONE): _("Without issues"),
    ("number", "missing"): _("No COC number"),
    ("number", "incomplete"): _("Identity incomplete"),
    ("number", "doubtful"): _("Number needs checking"),
    ("number", "duplicate"): _("Same number twice"),
    ("changed", "1"): _("Changed since yesterday"),
    ("running", "1"): _("Syncing now"),
    ("lifecycle", "client_left"): _("Client left"),
    ("lifecycle", "deactivation_scheduled"): _("To be deactivated"),
    ("restricted", "1"): _("Restricted"),
    ("favourites", "1"): _("Favourites"),
}


@dataclass(frozen=True, kw_only=True)
class Option:
    value: str
    label: Label
    is_chosen: bool


@dataclass(frozen=True, kw_only=True)
class Menu:
    key: str
    label: Label
    options: Sequence[Option]

    @property
    def count(self) -> int:
        return sum(option.is_chosen for option in self.options)

    @property
    def is_long(self) -> bool:
        return len(self.options) > OPTIONS_WITHOUT_SEARCH_MAX


@dataclass(frozen=True, kw_only=True)
class Chip:
    """An active filter; `query` is the query string without it. `name` '': only the value is displayed."""

    name: Label
    value: Label
    query: str

    @property
    def url(self) -> str:
        """Return the URL without this filter."""
        return f"?{self.query or 'all=1'}"


def menus(query: ListQuery, choices: Mapping[str, Sequence[tuple[int, str]]]) -> list[Menu]:
    offered = _filter_choices(choices)
    return [
        Menu(key=key, label=LABELS[key], options=_options(query, key, offered[key]))
        for key in MULTI_FILTERS
        if offered[key]
    ]


def chips(query: ListQuery, choices: Mapping[str, Sequence[tuple[int, str]]]) -> list[Chip]:
    """Return a chip for each filter, in the order of the menus; a dash for the name of a deleted object."""
    offered = {key: dict(pairs) for key, pairs in _filter_choices(choices).items()}
    chip_list = []
    for key, values in query.multi_filters.items():
        if len(values) > CHIPS_PER_FILTER_MAX:
            chip_list.append(
                Chip(
                    name=LABELS[key],
                    value=str(len(values)),
                    query=query.without_filter(key).to_query_string(),
                )
            )
            continue
        for value in values:
            label = offered[key].get(value, "–")
            chip_list.append(
                Chip(name=LABELS[key], value=label, query=query.without_filter(key, value).to_query_string())
            )
    for key, value in query.single_filters.items():
        if key != "q":  # the field beside the chips has it
            chip_list.append(
                Chip(
                    name="",
                    value=_single(key, value),
                    query=query.without_filter(key, value).to_query_string(),
                )
            )
    return chip_list


def _single(key: str, value: str) -> Label:
    if key == "import":
        return _("One import")
    if (key, value) in SINGLE_LABELS:
        return SINGLE_LABELS[key, value]
    return str(get_issue_type(value).message).partition("%")[0] or value


def _filter_choices(choices: Mapping[str, Sequence[tuple[int, str]]]) -> dict[str, list[tuple[str, Label]]]:
    sectors: list[tuple[str, Label]] = [(letter, f"{letter} · {name}") for letter, name in SECTIONS.items()]
    return {
        "status": [(state, state_label(state)) for state in DISPLAY_STATES],
        "division": [*_string_keys(choices["divisions"]), (NONE, NONE_LABELS["division"])],
        "user": [("me", _("Me")), *_string_keys(choices["people"]), (NONE, NONE_LABELS["user"])],
        "template": [*_string_keys(choices["templates"]), (NONE, NONE_LABELS["template"])],
        "sector": [*sectors, (NONE, NONE_LABELS["sector"])],
        "connection": list(_string_keys(choices["connections"])),
        "freshness": list(FRESHNESS_LABELS.items()),
    }


def _string_keys(pairs: Sequence[tuple[int, str]]) -> Iterator[tuple[str, Label]]:
    return ((str(key), label) for key, label in pairs)


def _options(query: ListQuery, key: str, pairs: Sequence[tuple[str, Label]]) -> list[Option]:
    selected = query.multi_filters.get(key, ())
    return [Option(value=value, label=label, is_chosen=value in selected) for value, label in pairs]
