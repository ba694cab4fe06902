"""Summaries of connections for the list, read in a few queries however many connections there are."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from django.db.models import Count
from django.utils.translation import gettext as _

from koppel.connections.companies.company_rows import FAILING, LOST, imported_through
from koppel.connections.companies.reachable_names import CompanyNames, company_names, find_connections
from koppel.connections.health import DayHealth, consent_expiry, daily_health, with_problem_today
from koppel.connections.hooks import exclude_restricted
from koppel.connections.models import Connection, ConnectionState
from koppel.connections.queries import connections_of
from koppel.connector.registry import connectors
from koppel.kit.database.text_search import normalize_search
from koppel.kit.web.sentences import render_sentence
from koppel.organisations.roles import Actor


@dataclass(frozen=True)
class ConnectionSummary:
    """A connection on the list."""

    connection: Connection
    system: str
    days: list[DayHealth]
    consent_expires_at: datetime | None
    administrations: int
    awaiting_sign_in: int
    """Administrations that need a sign-in."""
    failing: int
    """Administrations that fail for other reasons."""
    reason: str
    """One of these reasons."""
    companies: CompanyNames
    """Those that are visible to the reader."""

    @property
    def needs_sign_in(self) -> bool:
        return self.awaiting_sign_in > 0 or self.connection.state == ConnectionState.NEEDS_REAUTH

    @property
    def text(self) -> str:
        """The text that a search looks through, besides the companies."""
        return f"{self.system} {self.connection.account} {self.connection.owner.user}"

    def group_title(self, by: "Grouping") -> str:
        """Return the name of the group that the connection belongs to."""
        titles = {
            Grouping.ACCOUNT: self.connection.account,
            Grouping.OWNER: str(self.connection.owner.user),
            Grouping.SYSTEM: self.system,
        }
        return titles[by]


def list_summaries(actor: Actor) -> list[ConnectionSummary]:
    """Return all live connections; connections that need a person come first."""
    return sorted(_summarize_all(actor, connections_of(actor)), key=lambda card: not card.needs_sign_in)


class Grouping(StrEnum):
    """The ways to group the list of connections."""

    ACCOUNT = "account"
    OWNER = "owner"
    SYSTEM = "system"


def find_summaries(actor: Actor, cards: Sequence[ConnectionSummary], text: str) -> list[ConnectionSummary]:
    """Return those with this text in their system, account or owner, or in the name of a company."""
    needle = normalize_search(text.strip())
    if not needle:
        return list(cards)
    matching_ids = find_connections(actor, [card.connection for card in cards], needle)
    return [
        card for card in cards if card.connection.pk in matching_ids or needle in normalize_search(card.text)
    ]


def group_summaries(cards: Iterable[ConnectionSummary], by: Grouping) -> list[list[ConnectionSummary]]:
    """Return the connections in groups of one account, owner or system, in the order of their names."""
    groups: dict[str, list[ConnectionSummary]] = {}
    for card in cards:
        groups.setdefault(card.group_title(by), []).append(card)
    return [groups[title] for title in sorted(groups, key=normalize_search)]


def summarize(actor: Actor, connection: Connection) -> ConnectionSummary:
    """Return a connection of `queries.connections_of` as on the list."""
    return _summarize_all(actor, [connection])[0]


def list_needing_sign_in(actor: Actor, system: str = "") -> list[ConnectionSummary]:
    """Return the connections (of one system) that need a sign-in."""
    return [
        card
        for card in list_summaries(actor)
        if card.needs_sign_in and system in ("", card.connection.connector)
    ]


def _summarize_all(actor: Actor, connections: Iterable[Connection]) -> list[ConnectionSummary]:
    selected = list(connections)
    names = company_names(actor, selected)
    days, ends = daily_health(selected), consent_expiry([connection.pk for connection in selected])
    counts = {row["connection_id"]: row for row in _counts(actor, selected)}
    return [
        _summary(
            connection,
            days[connection.pk],
            ends.get(connection.pk),
            counts.get(connection.pk, {}),
            names.get(connection.pk, CompanyNames()),
        )
        for connection in selected
    ]


def _summary(
    connection: Connection,
    days: list[DayHealth],
    ends: datetime | None,
    counted: Mapping[str, Any],
    companies: CompanyNames,
) -> ConnectionSummary:
    connector = connectors().get(connection.connector)
    count, awaiting_sign_in, failing = (
        counted.get(key, 0) for key in ("count", "awaiting_sign_in", "failing")
    )
    if connection.state == ConnectionState.NEEDS_REAUTH:
        awaiting_sign_in, failing = count, 0
    reason = _first_reason(connection) if failing else ""
    title = connector.descriptor.title if connector else connection.connector
    if failing:
        days = with_problem_today(days)
    return ConnectionSummary(
        connection, title, days, ends, count, awaiting_sign_in, failing, reason, companies
    )


def _counts(actor: Actor, connections: Sequence[Connection]) -> Iterable[Mapping[str, Any]]:
    return (
        exclude_restricted(actor, imported_through(connections))
        .values("connection_id")
        .annotate(
            count=Count("pk", distinct=True),
            awaiting_sign_in=Count("pk", filter=LOST, distinct=True),
            failing=Count("pk", filter=FAILING & ~LOST, distinct=True),
        )
        .order_by()
    )


def _first_reason(connection: Connection) -> str:
    """Return why an administration is not read, without a name: all who see connections see the card."""
    if imported_through([connection]).filter(is_listed=False).exists():
        return _("This sign-in no longer reaches the synced companies.")
    company = imported_through([connection]).exclude(unreachable_code="").order_by("name").first()
    return render_sentence(company.unreachable_reason) if company else ""
