"""Rows that the palette finds: administrations, people, connections, divisions, templates and accounts.

Each kind starts from what the actor may see, so that words decide only about the order and the number.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import Case, CharField, F, IntegerField, Q, QuerySet, Value, When
from django.db.models.functions import Cast
from django.urls import reverse
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from koppel.administrations.models import Administration
from koppel.books.access_log import audit_access
from koppel.books.models import Account
from koppel.company_registers.numbers import mask_number
from koppel.connections.models import Connection, ConnectionState
from koppel.kit.database.text_search import Folded, normalize_search
from koppel.organisations.models import Division, Membership, Template
from koppel.organisations.roles import Actor, Permission
from koppel.web.search.search_result import SearchResult

RESULTS_SHOWN = 8
WORDS_MAX = 8
_NUMBER = re.compile(r"(?:[a-z]{2})?([0-9]{4,})")


@dataclass(frozen=True, kw_only=True)
class RecordKind:
    """A kind of rows. `rows` are those the actor may see, annotated with `search_text`, its words folded;
    `order` breaks ties of equal matches.
    """

    key: str
    label: str | Promise
    rows: Callable[[Actor], "QuerySet[Any]"]
    order: str
    result: Callable[[Actor, Any], SearchResult]

    def find(self, actor: Actor, words: Sequence[str], limit: int = RESULTS_SHOWN) -> list[SearchResult]:
        """Return the rows that contain every word, those that begin with them first."""
        text = " ".join(words)
        rows = self.rows(actor).filter(_matches(words))
        begins = Case(
            When(search_text__startswith=text, then=Value(0)), default=Value(1), output_field=IntegerField()
        )
        return [self.result(actor, row) for row in rows.order_by(begins, self.order, "pk")[:limit]]

    def find_by_ids(self, actor: Actor, ids: Iterable[int]) -> dict[int, SearchResult]:
        """Return the rows of these ids that the actor may still see."""
        return {row.pk: self.result(actor, row) for row in self.rows(actor).filter(pk__in=list(ids))}


def _matches(words: Sequence[str]) -> Q:
    """Return the condition that every word matches. Numbers may contain spaces, points and a country
    prefix.
    """
    condition = Q()
    for word in words[:WORDS_MAX]:
        condition &= Q(search_text__contains=word)
    digits = _NUMBER.fullmatch(re.sub(r"[^a-z0-9]", "", "".join(words)))
    return condition | Q(search_text__contains=digits[1]) if digits else condition


def _administrations(actor: Actor) -> "QuerySet[Administration]":
    return Administration.objects.visible_to(actor).annotate(search_text=F("search_key"))


def _administration(actor: Actor, administration: Administration) -> SearchResult:
    number = mask_number(administration.number, administration.country)
    return SearchResult(
        key=f"administration:{administration.pk}",
        label=administration.name,
        detail=" · ".join(filter(None, (number, administration.country))),
        url=reverse("administrations:detail", args=[administration.pk]),
    )


def _people(actor: Actor) -> "QuerySet[Membership]":
    if not actor.can(Permission.MANAGE_PEOPLE):
        return Membership.objects.none().annotate(search_text=Value(""))
    people = Membership.objects.for_actor(actor).filter(is_active=True).select_related("user")
    email = Cast("user__email", CharField())
    return people.annotate(address=email).annotate(search_text=Folded("user__name", "address"))


def _person(actor: Actor, membership: Membership) -> SearchResult:
    return SearchResult(
        key=f"person:{membership.pk}",
        label=str(membership.user),
        detail=membership.user.email,
        url=reverse("organisations:person", args=[membership.pk]),
    )


def _connections(actor: Actor) -> "QuerySet[Connection]":
    if not actor.can(Permission.IMPORT_ADMINISTRATIONS):
        return Connection.objects.none().annotate(search_text=Value(""))
    connections = Connection.objects.for_actor(actor).exclude(state=ConnectionState.REMOVED)
    return connections.annotate(search_text=Folded("account", "connector"))


def _connection(actor: Actor, connection: Connection) -> SearchResult:
    return SearchResult(
        key=f"connection:{connection.pk}",
        label=connection.account,
        detail=str(ConnectionState(connection.state).label),
        url=connection.get_absolute_url(),
    )


def _divisions(actor: Actor) -> "QuerySet[Division]":
    return Division.objects.for_actor(actor).filter(archived_at=None).annotate(search_text=Folded("name"))


def _division(actor: Actor, division: Division) -> SearchResult:
    if actor.can(Permission.MANAGE_PEOPLE):
        url = reverse("organisations:division", args=[division.pk])
    else:
        url = f"{reverse('administrations:list')}?division={division.pk}"
    return SearchResult(key=f"division:{division.pk}", label=division.name, detail="", url=url)


def _templates(actor: Actor) -> "QuerySet[Template]":
    if not actor.can(Permission.MANAGE_PEOPLE):
        return Template.objects.none().annotate(search_text=Value(""))
    return Template.objects.for_actor(actor).filter(archived_at=None).annotate(search_text=Folded("name"))


def _template(actor: Actor, template: Template) -> SearchResult:
    url = reverse("organisations:template", args=[template.pk])
    return SearchResult(key=f"template:{template.pk}", label=template.name, detail="", url=url)


KINDS = (
    RecordKind(
        key="administration",
        label=_("Administrations"),
        rows=_administrations,
        order="sort_name",
        result=_administration,
    ),
    RecordKind(
        key="connection", label=_("Connections"), rows=_connections, order="account", result=_connection
    ),
    RecordKind(key="person", label=_("People"), rows=_people, order="user__name", result=_person),
    RecordKind(key="division", label=_("Divisions"), rows=_divisions, order="name", result=_division),
    RecordKind(key="template", label=_("Templates"), rows=_templates, order="name", result=_template),
)


def find_administrations(actor: Actor, words: Sequence[str], limit: int) -> list[Administration]:
    """Return the best matches as rows."""
    if not words:
        return []
    return list(_administrations(actor).filter(_matches(words)).order_by("sort_name", "pk")[:limit])


def find_accounts(actor: Actor, administration: Administration, text: str) -> list[SearchResult]:
    """Return accounts of an administration whose code begins with the text or whose name contains its words.

    Accounts are books: finding those of a restricted administration is audited.
    """
    audit_access(actor, administration)
    accounts = Account.objects.filter(administration_id=administration.pk, deleted_at=None)
    condition = Q()
    for word in normalize_search(text).split()[:WORDS_MAX]:
        condition &= Q(search_text__contains=word)
    accounts = accounts.annotate(label=Cast("name", CharField())).annotate(search_text=Folded("label"))
    accounts = accounts.filter(condition | Q(code__startswith=text))
    return [
        SearchResult(
            key="",
            label=f"{account.code} {account.name}",
            detail=administration.name,
            url=reverse("books:account", args=[administration.pk, account.code]),
        )
        for account in accounts.order_by("code").only("code", "name")[:RESULTS_SHOWN]
    ]
