"""What the frame shows is what the lists show, for everybody, and reading it stays cheap."""

from dataclasses import replace
from typing import Any

import pytest
from django.db import connection
from django.db.models import QuerySet

from koppel.administrations.issues.queries import open_issues_of
from koppel.administrations.models import Administration
from koppel.issues.models import Issue
from koppel.kit.database.compiled_queries import CompiledQuery
from koppel.kit.tenancy import has_scope_of, installation_scope, organisation_scope
from koppel.notifications.inbox.queries import unread_count
from koppel.notifications.models import DeliverySettings, Notification
from koppel.organisations.models import Membership
from koppel.organisations.organisation_settings.branding import branding_of
from koppel.organisations.people.page_preferences import change_preferences, preferences_of
from koppel.organisations.roles import Actor
from koppel.web.frame.frame_data import load_frame_data
from tests.fixtures.people import MakeActor
from tests.web.factories import World, build_world


@pytest.fixture
def world(actor: Any) -> World:
    return build_world(actor)


def frame_of(actor: Actor) -> tuple[object, ...]:
    with organisation_scope(actor.organisation_id):
        data = load_frame_data(actor)
        branding = branding_of(actor)
        assert (data.organisation_name, data.colour, data.logo_digest) == (
            branding.name,
            branding.colour,
            branding.logo_digest,
        )
        assert data.preferences == preferences_of(actor)
        assert data.unread_notifications == unread_count(actor)
        assert data.open_issues == open_issues_of(actor).count()
        return data.preferences.theme, data.unread_notifications, data.open_issues


def test_everybody_sees_the_counts_of_their_own_lists(world: World, actor: MakeActor) -> None:
    stranger = build_world(actor)
    with organisation_scope(world.admin.organisation_id):
        Administration.objects.filter(pk=world.active.pk).update(restricted=True)
        change_preferences(world.people["user"], {"theme": "dark"})
        Notification.objects.filter(membership_id=world.people["reader"].membership_id).update(read_at=None)
    people = [*world.people.values(), world.bystander, *stranger.people.values(), stranger.bystander]
    seen = {person.membership_id: frame_of(person) for person in people}
    assert seen[world.people["user"].membership_id][0] == "dark"
    assert len(set(seen.values())) > 1
    operator = replace(world.admin, membership_id=0, is_operator=True, name="Operator")
    frame_of(operator)


def test_a_stand_in_sees_what_is_meant_for_the_absent(world: World) -> None:
    absent, substitute = world.people["user"], world.people["reader"]
    with organisation_scope(absent.organisation_id):
        DeliverySettings.objects.update_or_create(
            membership_id=absent.membership_id,
            organisation_id=absent.organisation_id,
            defaults={"stand_in_id": substitute.membership_id},
        )
        Administration.objects.update(imported_by_id=absent.membership_id)
    frame_of(substitute)


def test_what_is_snoozed_until_today_counts_again_tomorrow(world: World, monkeypatch: Any) -> None:
    from datetime import timedelta

    from django.utils import timezone

    today = timezone.localdate()
    with organisation_scope(world.admin.organisation_id):
        Issue.objects.update(snoozed_until=today + timedelta(days=1))
    assert frame_of(world.admin)[2] == 0
    monkeypatch.setattr(timezone, "localdate", lambda: today + timedelta(days=1))
    assert frame_of(world.admin)[2] == 1


def test_the_frame_of_a_page_costs_one_statement(world: World) -> None:
    client = world.client("administrator")
    client.get("/help/")
    statements = list[str]()

    def count(execute: Any, sql: str, *values: Any) -> Any:
        statements.append(sql)
        return execute(sql, *values)

    with connection.execute_wrapper(count):
        assert client.get("/help/").status_code == 200
    queries = [sql for sql in statements if "set_config" not in sql and "SAVEPOINT" not in sql]
    assert len(queries) <= 5, queries


def test_a_compiled_query_takes_the_values_of_each_call(world: World, actor: MakeActor) -> None:
    built = list[object]()

    def build(shape: bool, values: Any) -> "QuerySet[Any]":
        built.append(shape)
        memberships = Membership.objects.in_organisation(values["organisation"])
        return memberships.filter(is_active=shape).values("pk")

    query = CompiledQuery(("organisation",), build)
    others = actor()
    for person, is_active, count in [(world.admin, True, 7), (others, True, 1), (others, False, 0)]:
        statement, parameters = query.sql(is_active, {"organisation": person.organisation_id})
        with installation_scope("test"), connection.cursor() as cursor:
            cursor.execute(statement, parameters)
            assert len(cursor.fetchall()) == count
    assert built == [True, False]


def test_a_scope_within_the_same_one_is_known(world: World) -> None:
    organisation_id, other_id = world.admin.organisation_id, world.admin.organisation_id + 1
    assert not has_scope_of(organisation_id)
    with organisation_scope(organisation_id):
        assert has_scope_of(organisation_id)
        assert not has_scope_of(other_id)
        with installation_scope("test"):
            assert not has_scope_of(organisation_id)
        assert has_scope_of(organisation_id)
    assert not has_scope_of(organisation_id)
