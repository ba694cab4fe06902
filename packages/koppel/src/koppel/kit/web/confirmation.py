"""A confirmation page before an action that is hard to undo. Works without scripts.

The page lists the consequences and then sends the form again. The confirmation is bound to these facts: if
they change, the page is shown again.
"""

import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

NAMES_MAX = 20
"""The number of names shown at once; the others can be expanded."""


@dataclass(frozen=True)
class Group:
    """Names of objects of one kind that the action affects."""

    label: str
    names: Sequence[str]

    @property
    def first(self) -> Sequence[str]:
        return self.names[:NAMES_MAX]

    @property
    def remaining_names(self) -> Sequence[str]:
        return self.names[NAMES_MAX:]


@dataclass(frozen=True)
class Confirmation:
    """The consequences of an action, in the reader's language."""

    title: str
    question: str
    button: str
    cancel_url: str
    consequences: Sequence[str] = ()
    groups: Sequence[Group] = ()
    fields: Mapping[str, str | Sequence[str]] = field(default_factory=dict)
    """Sent again with the confirmation."""
    facts: Any = None
    """What the confirmation is bound to, independent of the language: ids and counts."""
    nav_section: str = ""

    @property
    def digest(self) -> str:
        values = {
            key: [value] if isinstance(value, str) else list(value) for key, value in self.fields.items()
        }
        text = json.dumps([values, self.facts], sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def inputs(self) -> list[tuple[str, str]]:
        return [
            (name, value)
            for name, values in self.fields.items()
            for value in ([values] if isinstance(values, str) else values)
        ]


def unconfirmed(
    request: HttpRequest,
    confirmation: Confirmation,
    template: str = "web/confirm.html",
    more: Mapping[str, Any] | None = None,
) -> HttpResponse | None:
    """Return the confirmation page; None when exactly these facts were confirmed. `more`: further context of
    the template.
    """
    confirmed = request.POST.get("confirmed", "")
    if confirmed and hmac.compare_digest(confirmed.encode(), confirmation.digest.encode()):
        return None
    context = {
        "confirmation": confirmation,
        "is_stale": bool(confirmed),
        "nav_section": confirmation.nav_section,
        **(more or {}),
    }
    return render(request, template, context, status=409 if confirmed else 200)
