"""What the frame of every page shows of the organisation and its member, read with one statement."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from django.db import connection
from django.db.models import QuerySet
from django.utils import timezone

from koppel.administrations.issues.queries import open_issues_of
from koppel.kit.database.compiled_queries import CompiledQuery
from koppel.notifications.audience.readable import represented_members
from koppel.notifications.inbox.queries import unread_count, unread_of_oneself
from koppel.organisations.models import Logo, Membership, Organisation
from koppel.organisations.preference_types import DEFAULT_PREFERENCES, Preferences
from koppel.organisations.roles import Actor, Role


@dataclass(frozen=True, kw_only=True)
class FrameData:
    """`colour` and `logo_digest` are '' where the organisation has none of its own."""

    organisation_name: str
    colour: str
    logo_digest: str
    preferences: Preferences
    """The default ones of an operator, who is no member."""
    unread_notifications: int
    open_issues: int


def load_frame_data(actor: Actor) -> FrameData:
    """Read what the frame shows. Needs the scope of the actor's organisation."""
    shape = _Reader(role=actor.role, is_operator=actor.is_operator, today=timezone.localdate())
    values = {"organisation": actor.organisation_id, "membership": actor.membership_id}
    columns, parameters = [], list[Any]()
    for column, query in _COLUMNS:
        statement, own_parameters = query.sql(shape, values)
        columns.append(column.replace("{}", statement))
        parameters += own_parameters
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {', '.join(columns)}", parameters)
        row: Any = cursor.fetchone()
    name, colour, digest, preferences, represents_others, unread, issues = row
    field: Any = Membership._meta.get_field("preferences")
    return FrameData(
        organisation_name=name,
        colour=colour,
        logo_digest=digest or "",
        preferences=field.from_db_value(preferences, None, connection) or DEFAULT_PREFERENCES,
        unread_notifications=unread_count(actor) if represents_others else unread,
        open_issues=issues,
    )


@dataclass(frozen=True, kw_only=True)
class _Reader:
    """What the conditions of the counts depend on besides ids."""

    role: Role
    is_operator: bool
    today: date


def _actor(reader: _Reader, ids: Mapping[str, int]) -> Actor:
    return Actor(
        organisation_id=ids["organisation"],
        membership_id=ids["membership"],
        user_id=0,
        name="",
        role=reader.role,
        is_operator=reader.is_operator,
    )


def _organisation(ids: Mapping[str, int]) -> "QuerySet[Organisation]":
    return Organisation.objects.filter(pk=ids["organisation"])


def _logo(_reader: _Reader, ids: Mapping[str, int]) -> "QuerySet[Any]":
    return Logo.objects.in_organisation(ids["organisation"]).values("digest")


def _preferences(reader: _Reader, ids: Mapping[str, int]) -> "QuerySet[Any]":
    memberships = Membership.objects.for_actor(_actor(reader, ids)).filter(pk=ids["membership"])
    return memberships.values("preferences")


def _query(build: Callable[[_Reader, Mapping[str, int]], "QuerySet[Any]"]) -> CompiledQuery:
    return CompiledQuery(("organisation", "membership"), build)


_VALUE, _EXISTS, _COUNT = "({})", "EXISTS ({})", "(SELECT count(*) FROM ({}) matching)"
_COLUMNS = (
    (_VALUE, _query(lambda _reader, ids: _organisation(ids).values("name"))),
    (_VALUE, _query(lambda _reader, ids: _organisation(ids).values("brand_colour"))),
    (_VALUE, _query(_logo)),
    (_VALUE, _query(_preferences)),
    (_EXISTS, _query(lambda reader, ids: represented_members(_actor(reader, ids)).values("pk"))),
    (_COUNT, _query(lambda reader, ids: unread_of_oneself(_actor(reader, ids)).values("pk"))),
    (_COUNT, _query(lambda reader, ids: open_issues_of(_actor(reader, ids)).values("pk"))),
)
