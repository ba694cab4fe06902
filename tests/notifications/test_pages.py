"""The pages of notifications and of notification preferences."""

from typing import Any

import pytest
from django.test import Client

from koppel.audit.models import AuditEntry
from koppel.kit.tenancy import organisation_scope
from koppel.notifications.models import DeliverySettings, Notification, Preference
from koppel.notifications.sources.new_device_alerts import browser_of
from koppel.organisations.models import Organisation, User
from koppel.organisations.roles import Actor
from tests.fixtures.forms import form_of
from tests.fixtures.people import PASSWORD, signed_in
from tests.notifications.factories import NEWS, TROUBLE, close_test_event, open_test_event, screen_messages

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:150.0) Gecko/20100101 Firefox/150.0"
EDGE = (
    "Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 (KHTML, "
    "like Gecko) Chrome/140.0 Safari/537.36 Edg/140.0"
)


@pytest.fixture
def anna(actor: Any) -> Actor:
    return actor("administrator", name="Anna")  # type: ignore[no-any-return]


@pytest.fixture
def browser(anna: Actor) -> Client:
    return signed_in(anna)


def page(browser: Client, address: str = "/notifications/") -> str:
    return browser.get(address).content.decode()


def test_notices_are_filtered_read_and_unread_again(anna: Actor, browser: Client) -> None:
    open_test_event(anna, NEWS, context={"name": "First"})
    open_test_event(anna, "test_worse", "two", context={"account": "s.jansen"})
    close_test_event(anna, "test_worse", "two")
    assert 'class="count count-new">2<' in page(browser)
    assert "Resolved" in page(browser)
    assert "First" not in page(browser, "/notifications/?event=test_worse")
    with organisation_scope(anna.organisation_id):
        first = Notification.objects.get(event_type=NEWS)
    browser.post("/notifications/read", {"id": first.pk, "query": "show=unread"})
    assert "First" not in page(browser, "/notifications/?show=unread")
    assert 'class="count count-new">1<' in page(browser)
    browser.post("/notifications/read", {"unread": first.pk})
    assert 'class="count count-new">2<' in page(browser)
    browser.post("/notifications/read")
    assert "count-new" not in page(browser)


def test_a_notification_of_another_person_does_not_exist(anna: Actor, browser: Client, actor: Any) -> None:
    with organisation_scope(anna.organisation_id):
        firm = Organisation.objects.get(pk=anna.organisation_id)
    open_test_event(actor("user", organisation=firm, name="Ben"), NEWS, "ben", context={"name": "Secret"})
    with organisation_scope(anna.organisation_id):
        notice = Notification.objects.get()
    assert browser.get(f"/notifications/{notice.pk}/").status_code == 404
    browser.post("/notifications/read", {"id": notice.pk})
    with organisation_scope(anna.organisation_id):
        notice.refresh_from_db()
        assert notice.read_at is None
    assert "Secret" not in page(browser)


@pytest.mark.parametrize("query", ["page=0", "event=%00", "show=x", "page=²"])
def test_an_unknown_filter_of_notices_is_refused(browser: Client, query: str) -> None:
    assert browser.get(f"/notifications/?{query}").status_code == 422


def test_a_page_past_the_end_is_the_last_one(browser: Client) -> None:
    assert browser.get("/notifications/?page=99999999").status_code == 200


def test_notification_preferences_are_stored_and_audited(anna: Actor, browser: Client, actor: Any) -> None:
    with organisation_scope(anna.organisation_id):
        firm = Organisation.objects.get(pk=anna.organisation_id)
    ben = actor("user", organisation=firm, name="Ben")
    form_data = {
        f"screen-{NEWS}": "all",
        f"email-{NEWS}": "none",
        "digest": "daily",
        "stand_in": ben.membership_id,
        "away_until": "2026-12-24",
    }
    hidden = browser.post(
        "/notifications/preferences/", form_data | {f"screen-{TROUBLE}": "none"}
    ).content.decode()
    assert "none is not one of the available choices" in hidden
    assert 'value="2026-12-24"' in hidden, "what was typed stays"
    with organisation_scope(anna.organisation_id):
        assert not Preference.objects.exists()
    text = browser.post("/notifications/preferences/", form_data, follow=True).content.decode()
    assert "Notification settings saved." in text
    with organisation_scope(anna.organisation_id):
        chosen = {(one.event_type, one.channel): one.scope for one in Preference.objects.all()}
        assert chosen == {(NEWS, "screen"): "all", (NEWS, "email"): "none"}
        arrangement = DeliverySettings.objects.get()
        assert (arrangement.digest, arrangement.stand_in_id) == (True, ben.membership_id)
        assert AuditEntry.objects.filter(action="notifications.delivery_settings_changed").count() == 2
    browser.post(
        "/notifications/preferences/", {f"screen-{NEWS}": "mine", f"email-{NEWS}": "mine", "digest": "now"}
    )
    with organisation_scope(anna.organisation_id):
        assert not Preference.objects.exists()
        assert DeliverySettings.objects.get().stand_in_id is None


def test_a_stranger_cannot_stand_in(anna: Actor, browser: Client, actor: Any) -> None:
    stranger = actor("administrator", name="Vreemde")
    text = browser.post("/notifications/preferences/", {"stand_in": stranger.membership_id}).content.decode()
    assert "Nothing was saved" in text
    with organisation_scope(anna.organisation_id):
        assert not DeliverySettings.objects.exists()


def sign_in(anna: Actor, agent: str, address: str = "192.0.2.10") -> None:
    client = Client(headers={"user-agent": agent}, REMOTE_ADDR=address)
    email = User.objects.get(pk=anna.user_id).email
    client.post("/accounts/login/", {"login": email, "password": PASSWORD})
    assert client.get("/notifications/").status_code == 200


def test_only_a_sign_in_from_a_new_browser_is_notified(anna: Actor) -> None:
    sign_in(anna, FIREFOX)
    sign_in(anna, FIREFOX.replace("150", "151"), "192.0.2.77")
    assert screen_messages(anna) == []
    sign_in(anna, EDGE)
    sign_in(anna, FIREFOX, "198.51.100.4")
    sign_in(anna, EDGE)
    assert [message.split(":")[1].split(".")[0] for message in screen_messages(anna)] == [
        " Edge, Windows, address 192",
        " Firefox, Linux, address 198",
    ]


def test_behind_a_proxy_a_sign_in_shows_the_clients_address(anna: Actor, settings: Any) -> None:
    settings.ALLAUTH_TRUSTED_PROXY_COUNT = 1
    email = User.objects.get(pk=anna.user_id).email
    for seen in ("198.51.100.4", "203.0.113.9"):
        client = Client(headers={"user-agent": FIREFOX, "x-forwarded-for": seen}, REMOTE_ADDR="10.0.0.1")
        client.post("/accounts/login/", {"login": email, "password": PASSWORD})
    (sentence,) = screen_messages(anna)
    assert "address 203.0.113.9" in sentence


def test_browsers_are_named_as_people_name_them() -> None:
    assert browser_of(EDGE) == "Edge, Windows"
    assert browser_of("curl/8.1") == "curl/8.1"
    assert browser_of("") == "–"


def test_marking_as_read_skips_newer_notifications(anna: Actor, browser: Client) -> None:
    open_test_event(anna, NEWS, context={"name": "First"})
    form = form_of(page(browser))
    open_test_event(anna, NEWS, "two", context={"name": "Second"})
    browser.post("/notifications/read", {"query": "", "newest": form.get("newest", [""])[0]})
    unread = page(browser, "/notifications/?show=unread")
    assert "Second" in unread
    assert "First" not in unread
