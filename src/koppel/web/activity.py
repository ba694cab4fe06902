"""The trail as a page: who did what, from where, and what it changed; as CSV too. Exporting it is an act of its own."""

from collections.abc import Mapping
from typing import Any, cast
from urllib.parse import urlencode

from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import FileResponse, QueryDict
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.utils import timezone
from django.utils.translation import gettext as _

from koppel.administrations.trail.reading import Veil, entries_for, veil_for
from koppel.administrations.trail.words import Words
from koppel.audit.models import AuditEntry, Door
from koppel.audit.queries import Asked, actors_of
from koppel.audit.services import record
from koppel.kit.parameters import DAY, IDENTIFIER, PAGE, TEXT, one_of, one_of_these
from koppel.kit.table_files import MEDIA_TYPES, Cell, Column, Format, Kind, write_table
from koppel.organisations.policy import Permission
from koppel.web.acts import ACTS
from koppel.web.doors import MemberRequest, takes

PAGE_SIZE = 100
COUNT_MAX = 10_000


class _Pages(Paginator):  # type: ignore[type-arg]  # at run time it takes no argument
    """Counts no further than anybody turns pages: the trail of a large firm has millions of rows."""

    @property
    def count(self) -> int:
        return len(cast("QuerySet[AuditEntry]", self.object_list).values_list("pk")[:COUNT_MAX])


@takes(
    q=TEXT, person=IDENTIFIER, act=one_of_these(lambda: ACTS), door=one_of(*Door.values), since=DAY, until=DAY,
    page=PAGE, format=one_of("csv"),
)  # fmt: skip
def activity(request: MemberRequest) -> HttpResponseBase:
    """Filtered by person, act, door, period and words, all in the address bar."""
    request.actor.require(Permission.ORGANISATION)
    asked, veil = asked_for(request.parameters), veil_for(request.actor)
    found = entries_for(request.actor, asked, veil)
    if request.parameters["format"]:
        return _export(request, found, asked, veil)
    words = Words(request.actor)
    page = _Pages(found, PAGE_SIZE).get_page(request.parameters["page"])
    context = {
        "place": "activity",
        "asked": asked,
        "is_filtered": asked != Asked(),
        "page": page,
        "entries": [(one, words.subject(one), words.changes(one), words.rest(one)) for one in map(veil.over, page)],
        "people": actors_of(request.actor.organisation_id),
        "acts": sorted(((key, str(words)) for key, words in ACTS.items()), key=lambda one: one[1]),
        "doors": Door.choices,
        "query": _query(request.GET),
        "is_long": page.paginator.count >= COUNT_MAX,
    }
    return render(request, "web/activity.html", context)


def asked_for(parameters: Mapping[str, Any]) -> Asked:
    """What the address bar asks for."""
    return Asked(
        words=(parameters["q"] or "").replace("\0", "").strip(),
        person=parameters["person"],
        act=parameters["act"] or "",
        door=Door(parameters["door"]) if parameters["door"] else None,
        since=parameters["since"],
        until=parameters["until"],
    )


def _export(request: MemberRequest, found: Any, asked: Asked, veil: Veil) -> HttpResponseBase:
    """All rows that the filter finds, at most a million."""
    columns = (
        Column("at", _("When"), Kind.MOMENT),
        Column("who", _("Who")),
        Column("kind", _("As")),
        Column("from", _("From address")),
        Column("door", _("Through")),
        Column("act", _("Act")),
        Column("code", _("Code")),
        Column("what", _("What")),
        Column("details", _("Details")),
    )
    entries = map(veil.over, found[:1_000_000].iterator(chunk_size=2000))
    words = Words(request.actor)
    content = write_table(Format.CSV, columns, (_row(entry, words) for entry in entries))
    told = {key: str(value) for key, value in vars(asked).items() if value not in ("", None)}
    record(request.actor.organisation_id, request.actor.audit, "audit.exported", details={"filter": told})
    name = f"activity-{timezone.localdate():%Y-%m-%d}.csv"
    return FileResponse(content, as_attachment=True, filename=name, content_type=MEDIA_TYPES[Format.CSV])


def _row(one: AuditEntry, words: Words) -> list[Cell]:
    return [
        one.at,
        one.actor_name or "Koppel",
        one.get_actor_kind_display(),
        one.from_address,
        one.get_door_display(),
        str(ACTS.get(one.act, one.act)),
        one.act,
        words.subject(one),
        words.details(one),
    ]


def _query(query: QueryDict) -> str:
    return urlencode([(key, value) for key, value in query.items() if value and key not in ("page", "format")])
