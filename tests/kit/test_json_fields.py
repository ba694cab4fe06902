"""A JSON column with a shape refuses what does not fit, and reads what an older version stored."""

from typing import Any, TypedDict

import msgspec
import pytest
from django.db import connection, transaction

from koppel.kit.database.json_fields import ShapeMismatch, TypedJSONField, encode, to_json, to_shape
from koppel.kit.tenancy import organisation_scope
from koppel.notifications.models import Event, IssueReference, WebhookEndpoint


class Person(msgspec.Struct, frozen=True, omit_defaults=True):
    name: str = ""
    groups: list[int] = []


class Schedule(TypedDict, total=False):
    hour: int


def test_a_value_becomes_plain_json_and_back() -> None:
    people = {7: Person("Anna", [1, 2]), 8: Person()}
    assert to_json(people, dict[int, Person]) == {"7": {"name": "Anna", "groups": [1, 2]}, "8": {}}
    assert to_shape(to_json(people, dict[int, Person]), dict[int, Person]) == people
    assert encode((1, 2), list[int]) == "[1,2]"


@pytest.mark.parametrize(
    ("value", "shape"),
    [
        ({"name": 7}, Person),
        ({"name": "Anna", "age": 30}, Person),
        ({"hour": 7, "minute": 30}, Schedule),
        ({"seven": {}}, dict[int, Person]),
        (["7"], list[int]),
        ({"reason": ["a list"]}, dict[str, str | int | None]),
    ],
)
def test_a_value_of_another_shape_is_refused(value: Any, shape: Any) -> None:
    with pytest.raises(ShapeMismatch):
        to_json(value, shape)


def test_a_default_has_the_shape() -> None:
    assert TypedJSONField(Person, default=dict).get_default() == Person()
    assert TypedJSONField(list[int], default=list).get_default() == []
    assert TypedJSONField(Person, null=True).get_default() is None


def test_migrations_see_a_plain_json_column() -> None:
    field = TypedJSONField(dict[str, str], default=dict)
    assert field.deconstruct()[1:] == ("django.db.models.JSONField", [], {"default": dict})
    assert field.clone().shape == dict[str, str]


def test_a_column_loads_what_was_saved_and_refuses_the_rest(actor: Any) -> None:
    admin = actor("administrator")
    with organisation_scope(admin.organisation_id):
        webhook = WebhookEndpoint.objects.create(
            organisation_id=admin.organisation_id, name="A", url="https://a.example", divisions=[3, 4]
        )
        assert WebhookEndpoint.objects.get(pk=webhook.pk).divisions == [3, 4]
        webhook.divisions = ["three"]
        with pytest.raises(ShapeMismatch), transaction.atomic():
            webhook.save()
        with pytest.raises(ShapeMismatch), transaction.atomic():
            WebhookEndpoint.objects.update(divisions={"three": 3})
        assert WebhookEndpoint.objects.filter(divisions__contains=[3]).exists()


def test_a_row_of_another_version_can_be_read(actor: Any) -> None:
    admin = actor("administrator")
    with organisation_scope(admin.organisation_id):
        facts = {
            "name": "Nordlys",
            "issue": {"code": "other", "facts": {"day": "2026-01-01"}, "dropped_since": 1},
        }
        with connection.cursor() as cursor:
            cursor.execute(
                "INSERT INTO notifications_event (organisation_id, event_type, key, subject_kind, context, "
                "administrations,"
                " notified_administrations, round, link, state, first_seen_at, last_seen_at, due_at)"
                " VALUES (%s, 'gone', 'key', '', %s, '{\"5\": {\"name\": \"Five\"}}', '[5]', 1, '', 'closed',"
                " now(), now(), now())",
                [admin.organisation_id, msgspec.json.encode(facts).decode()],
            )
        event = Event.objects.get(event_type="gone")
        assert event.context == {"name": "Nordlys", "issue": IssueReference("other", {"day": "2026-01-01"})}
        assert (event.administrations, event.notified_administrations) == ({5: {"name": "Five"}}, [5])
        assert (
            Event.objects.filter(context__name="Nordlys").values_list("context__name", flat=True)[0]
            == "Nordlys"
        )
