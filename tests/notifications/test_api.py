"""A member's notifications over REST."""

from typing import Any

from django.test import Client

from koppel.organisations.models import User
from tests.notifications.factories import NEWS, open_test_event


def test_notices_are_listed_read_and_chosen_over_rest(actor: Any) -> None:
    anna = actor("reader", name="Anna")
    client = Client()
    client.force_login(User.objects.get(pk=anna.user_id))
    for key in ("one", "two"):
        open_test_event(anna, NEWS, key, context={"name": key})
    listing = client.get("/api/v1/notifications?unread=true").json()
    assert [one["message"] for one in listing["items"]] == ["News of two", "News of one"]
    first = listing["items"][0]["id"]
    read = client.post("/api/v1/notifications/read", {"ids": [first]}, content_type="application/json").json()
    assert read == {"read": 1}
    assert client.get("/api/v1/notifications?unread=true").json()["total"] == 1
    preferences = [{"event": NEWS, "channel": "email", "scope": "none"}]
    strange = [*preferences, {"event": "x", "channel": "email", "scope": "all"}]
    refused = client.put("/api/v1/notifications/preferences", strange, content_type="application/json")
    assert (refused.status_code, refused.json()["detail"][0]["value"]) == (422, "x")
    before = client.get("/api/v1/notifications/preferences").json()
    assert {"event": NEWS, "channel": "email", "scope": "mine"} in before, "nothing of it is stored"
    chosen = client.put(
        "/api/v1/notifications/preferences", preferences, content_type="application/json"
    ).json()
    assert {"event": NEWS, "channel": "email", "scope": "none"} in chosen
    assert {"event": NEWS, "channel": "screen", "scope": "mine"} in chosen
