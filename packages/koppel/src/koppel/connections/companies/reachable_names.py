"""The names of the companies that a connection reaches, which tell two connections of one account apart."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from django.db.models import Count, F, Q, QuerySet, Window
from django.db.models.functions import RowNumber

from koppel.connections.hooks import exclude_restricted
from koppel.connections.models import Connection, RemoteCompany
from koppel.kit.database.text_search import Folded, normalize_search
from koppel.organisations.roles import Actor

NAMES_MAX = 2


@dataclass(frozen=True)
class CompanyNames:
    """The first names, and how many companies a connection lists."""

    first: tuple[str, ...] = ()
    count: int = 0

    @property
    def remaining(self) -> int:
        return self.count - len(self.first)


def company_names(actor: Actor, connections: Iterable[Connection]) -> Mapping[int, CompanyNames]:
    """Return the names of the companies that the actor may see, by connection. One query."""
    one_connection = F("connection_id")
    numbered = _visible_companies(actor, connections).annotate(
        position=Window(RowNumber(), partition_by=one_connection, order_by=[Folded("name"), "pk"]),
        total=Window(Count("pk"), partition_by=one_connection),
    )
    rows = numbered.filter(position__lte=NAMES_MAX).order_by("connection_id", "position")
    names: dict[int, CompanyNames] = {}
    for connection_id, name, total in rows.values_list("connection_id", "name", "total"):
        first = names.get(connection_id, CompanyNames()).first
        names[connection_id] = CompanyNames((*first, name), total)
    return names


def find_connections(actor: Actor, connections: Iterable[Connection], text: str) -> set[int]:
    """Return the ids of the connections that reach a company with this text in its name."""
    folded = _visible_companies(actor, connections).annotate(folded=Folded("name", "legal_name"))
    matches = folded.filter(folded__contains=normalize_search(text))
    return set(matches.values_list("connection_id", flat=True))


def _visible_companies(actor: Actor, connections: Iterable[Connection]) -> "QuerySet[RemoteCompany]":
    is_for_actor = Q(connection__owner_id=actor.membership_id) | Q(importable_by_others=True)
    keys = [connection.pk for connection in connections]
    listed = RemoteCompany.objects.for_actor(actor).filter(is_for_actor, connection__in=keys, is_listed=True)
    return exclude_restricted(actor, listed)
