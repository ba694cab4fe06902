"""What an act left word of, in the reader's words: fields by their labels, divisions, templates and people by name, dates as
dates. The export keeps the stored words, for programs."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from koppel.administrations.scope import visible_to
from koppel.audit.queries import Change
from koppel.books.labels import RESOURCES
from koppel.organisations.models import Division, Membership, Template
from koppel.organisations.policy import Actor, Role

NOTHING = "–"
LABELS = {
    "account": gettext_lazy("Signed in as"),
    "act": gettext_lazy("Act"),
    "added_members": gettext_lazy("People added"),
    "administrations": gettext_lazy("Administrations"),
    "archived": gettext_lazy("archived"),
    "client_number": gettext_lazy("Client number"),
    "count": gettext_lazy("Count"),
    "division": gettext_lazy("Division"),
    "division_id": gettext_lazy("Division"),
    "divisions": gettext_lazy("Divisions"),
    "events": gettext_lazy("Events"),
    "expires_at": gettext_lazy("Valid until"),
    "filter": gettext_lazy("Filtered by"),
    "fiscal_years_back": gettext_lazy("Fiscal years before the current one"),
    "format": gettext_lazy("Format"),
    "full_comparison_weekday": gettext_lazy("Full comparison on"),
    "import": gettext_lazy("Import number"),
    "is_active": gettext_lazy("May sign in"),
    "member": gettext_lazy("Person"),
    "name": gettext_lazy("Name"),
    "number": gettext_lazy("COC number"),
    "owner": gettext_lazy("Owner"),
    "people": gettext_lazy("People"),
    "person": gettext_lazy("Person"),
    "read_only": gettext_lazy("Read only"),
    "reason": gettext_lazy("Reason"),
    "resources": gettext_lazy("Resources"),
    "restricted": gettext_lazy("Restricted"),
    "role": gettext_lazy("Role"),
    "rows": gettext_lazy("Rows"),
    "schedule": gettext_lazy("Schedule"),
    "sector": gettext_lazy("Sector"),
    "template": gettext_lazy("Template"),
    "template_id": gettext_lazy("Template"),
    "until": gettext_lazy("Access until"),
    "url": gettext_lazy("Address"),
}
DIVISIONS, TEMPLATES = ("division", "division_id", "divisions"), ("template", "template_id")
PEOPLE = ("people", "member", "added_members")


@dataclass(frozen=True)
class Words:
    """For one reader: an id that is nobody's any more, or not theirs to see, stays a number."""

    actor: Actor

    def changes(self, details: Mapping[str, Any]) -> list[Change]:
        """Before and after, key by key, only where they differ."""
        before, after = details.get("before"), details.get("after")
        if not isinstance(before, dict) and not isinstance(after, dict):
            return []
        before, after = before or {}, after or {}
        told = [
            Change(self.label(key), self.value(key, before.get(key)), self.value(key, after.get(key)))
            for key in sorted({*before, *after})
        ]
        return [one for one in told if one.before != one.after]

    def rest(self, details: Mapping[str, Any]) -> list[tuple[str, str]]:
        """What else it left word of."""
        return [
            (self.label(key), self.value(key, one)) for key, one in details.items() if key not in ("before", "after")
        ]

    def label(self, key: str) -> str:
        if key.isdecimal():
            return self._administrations.get(int(key), key)
        return str(LABELS.get(key) or key.replace("_", " "))

    def value(self, key: str, value: Any) -> str:
        if isinstance(value, dict):
            return "; ".join(self._pairs(value)) or NOTHING
        if isinstance(value, list | tuple):
            return ", ".join(self.value(key, one) for one in value) or NOTHING
        if value is None or value == "":
            return NOTHING
        if isinstance(value, bool):
            return _("yes") if value else _("no")
        if isinstance(value, int):
            return self._names(key).get(value, str(value))
        return self._words(key, str(value))

    def _pairs(self, value: Mapping[str, Any]) -> list[str]:
        """`columns` holds fields like those beside it; what is empty says nothing."""
        flat = {**{key: one for key, one in value.items() if key != "columns"}, **(value.get("columns") or {})}
        return [f"{self.label(key)}: {self.value(key, one)}" for key, one in flat.items() if one not in ([], {})]

    def _words(self, key: str, value: str) -> str:
        if key == "role" and value in Role.values:
            return str(Role(value).label)
        if key == "resources":
            return str(RESOURCES.get(value, value))
        moment = _moment(value)
        return date_format(timezone.localtime(moment), "SHORT_DATETIME_FORMAT") if moment else value

    def _names(self, key: str) -> Mapping[int, str]:
        if key in DIVISIONS:
            return self._divisions
        if key in TEMPLATES:
            return self._templates
        if key in PEOPLE:
            return self._people
        return self._administrations if key == "administrations" else {}

    @cached_property
    def _divisions(self) -> dict[int, str]:
        return dict(Division.objects.filter(organisation_id=self.actor.organisation_id).values_list("pk", "name"))

    @cached_property
    def _templates(self) -> dict[int, str]:
        return dict(Template.objects.filter(organisation_id=self.actor.organisation_id).values_list("pk", "name"))

    @cached_property
    def _people(self) -> dict[int, str]:
        own = Membership.objects.filter(organisation_id=self.actor.organisation_id)
        return dict(own.values_list("pk", "user__name"))

    @cached_property
    def _administrations(self) -> dict[int, str]:
        return dict(visible_to(self.actor).values_list("pk", "name"))


def _moment(value: str) -> datetime | None:
    """Only what is wholly a moment with its zone, as the trail stores them."""
    if "T" not in value:
        return None
    try:
        found = parse_datetime(value)
    except ValueError:
        return None
    return found if found and found.tzinfo else None
