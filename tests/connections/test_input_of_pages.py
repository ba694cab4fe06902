"""Invalid input on the pages of connections is an error at its field and changes nothing."""

from html import unescape
from typing import Any

import pytest

from koppel.connections.models import AppRegistration, ConsentAttempt, RemoteCompany
from koppel.kit.tenancy import organisation_scope
from koppel.organisations.models import Organisation
from tests.connections.factories import import_first, reload_connection
from tests.fixtures.people import signed_in
from tests.fixtures.stack import CLIENT_SECRET, CLIENTS, Connected, MakeConnected

APPS = "/connections/apps/"


@pytest.fixture
def anna(connected: MakeConnected) -> Connected:
    return connected()


def text_of(response: Any) -> str:
    return unescape(response.content.decode())


BUTTONS = [
    ("reconnect", {"since": "yesterday"}, "“yesterday” is not a time with a time zone."),
    ("owner", {"membership": ""}, "Choose a colleague"),
    ("owner", {"membership": "Bert"}, "“Bert” is not one of the options."),
    ("import-policy", {}, "Choose what to share."),
    ("import-policy", {"import_policy": "everything"}, "everything is not one of the available choices."),
    (
        "import-policy",
        {"import_policy": "selected", "companies": ["1", "two"]},
        "“two” is not one of the options.",
    ),
    ("change", {"code": "company_renamed", "accept": "1"}, "Tick the administrations to decide about."),
    (
        "change",
        {"code": "renamed", "accept": "1", "administration": "1"},
        "renamed is not one of the available choices.",
    ),
    ("change", {"code": "company_renamed", "accept": "yes", "administration": "1"}, "yes is not one of"),
    (
        "change",
        {"code": "company_renamed", "accept": "1", "administration": "one"},
        "“one” is not one of the options.",
    ),
    (
        "change",
        {"code": "company_renamed", "accept": "1", "administration": "1", "fingerprint": "a\0"},
        "Null characters are not allowed.",
    ),
]


@pytest.mark.parametrize(("button", "form", "sentence"), BUTTONS)
def test_a_button_with_an_invalid_value_is_refused(
    anna: Connected, button: str, form: dict[str, Any], sentence: str
) -> None:
    page, browser = f"/connections/{anna.connection.pk}/", signed_in(anna.actor)
    with organisation_scope(anna.actor.organisation_id):
        RemoteCompany.objects.filter(pk=RemoteCompany.objects.latest("pk").pk).update(
            importable_by_others=False
        )
        before = (
            *ConsentAttempt.objects.values_list("pk"),
            *RemoteCompany.objects.order_by("pk").values_list(),
        )
    answer = browser.post(f"{page}{button}", form)
    assert answer.headers["Location"] == page
    assert sentence in text_of(browser.get(page))
    connection = reload_connection(anna)
    assert (connection.state, connection.pending_owner_id, connection.import_policy) == (
        "active",
        None,
        "all",
    )
    with organisation_scope(anna.actor.organisation_id):
        assert before == (
            *ConsentAttempt.objects.values_list("pk"),
            *RemoteCompany.objects.order_by("pk").values_list(),
        )


def test_the_removal_page_shows_again_what_was_chosen(anna: Connected) -> None:
    import_first(anna)
    address, browser = f"/connections/{anna.connection.pk}/remove/", signed_in(anna.actor)
    stale = browser.post(address, {"policy": "deactivate", "fingerprint": "7-0"})
    assert stale.status_code == 200
    assert "The administrations of this connection have changed since." in text_of(stale)
    assert 'value="deactivate" checked' in text_of(stale)
    for policy, sentence in (
        ("", "Choose what happens to the administrations."),
        ("burn", "burn is not one of"),
    ):
        refused = text_of(browser.post(address, {"policy": policy, "fingerprint": "1-0"}))
        assert '<span class="field-error" id="policy-error">' in refused
        assert sentence in refused
    assert reload_connection(anna).state == "active"


def test_an_invalid_new_owner_is_an_error_at_the_field(anna: Connected, actor: Any) -> None:
    with organisation_scope(anna.actor.organisation_id):
        firm = Organisation.objects.get(pk=anna.actor.organisation_id)
    reader, bert = actor("reader", organisation=firm, name="Lars"), actor("administrator", organisation=firm)
    address, browser = f"/connections/offboarding/{anna.actor.membership_id}/", signed_in(anna.actor)
    for member, sentence in (
        ("", "Choose a colleague"),
        ("Bert", "“Bert” is not one of the options."),
        (str(reader.membership_id), "Only an active Administrator or Team leader"),
    ):
        page = browser.post(address, {"membership": member})
        error = text_of(page).partition('id="membership-error">')[2].partition("</span>")[0]
        assert (page.status_code, sentence in error) == (200, True)
    question = browser.post(address, {"membership": str(bert.membership_id)})
    assert f'name="membership" value="{bert.membership_id}"' in text_of(question)
    assert reload_connection(anna).pending_owner_id is None
    assert browser.get("/connections/offboarding/987654/").status_code == 404


NEW_APP = {
    "consent_mode": "visma_net/sandbox/service",
    "client_id": CLIENTS["service"],
    "client_secret": CLIENT_SECRET,
    "name": "Service app",
    "refresh_token_days": "90",
}
DAYS = "Enter a number of days from 1 to 3650, or leave it empty."


@pytest.mark.parametrize(
    ("field", "typed", "sentence"),
    [
        ("consent_mode", "visma_net", "Choose an accounting system."),
        ("consent_mode", "visma_net/moon/service", "Choose an environment."),
        ("name", "x" * 121, "at most 120 characters"),
        ("client_id", "", "Enter the client id"),
        ("client_id", "a\0b", "Null characters are not allowed."),
        ("client_secret", "", "Enter the client secret"),
        ("client_secret", "a\0b", "Null characters are not allowed."),
        ("refresh_token_days", "a year", DAYS),
        ("refresh_token_days", "0", DAYS),
        ("refresh_token_days", "3651", DAYS),
        ("refresh_token_days", "9" * 30, DAYS),
    ],
)
def test_an_app_registration_keeps_what_was_typed_and_says_what_is_wrong_at_its_field(
    actor: Any, field: str, typed: str, sentence: str
) -> None:
    admin = actor("administrator")
    page = signed_in(admin).post(APPS, NEW_APP | {field: typed})
    text = text_of(page)
    error = text.partition(f'id="{field}-error">')[2].partition("</span>")[0]
    assert (page.status_code, sentence in error) == (422, True)
    kept = {
        name: value for name, value in NEW_APP.items() if name not in (field, "client_secret", "consent_mode")
    }
    assert [value for value in kept.values() if f'value="{value}"' not in text] == []
    assert CLIENT_SECRET not in text
    with organisation_scope(admin.organisation_id):
        assert not AppRegistration.objects.filter(organisation=admin.organisation_id).exists()


def test_a_change_of_an_app_registration_is_shown_again_beside_the_others(actor: Any) -> None:
    admin = actor("administrator")
    browser = signed_in(admin)
    browser.post(APPS, NEW_APP)
    with organisation_scope(admin.organisation_id):
        app = AppRegistration.objects.get(organisation=admin.organisation_id)
    changed = {"client_id": "another", "client_secret": "", "name": "Renamed", "refresh_token_days": ""}
    text = text_of(browser.post(f"{APPS}{app.pk}/change", changed))
    assert "No changes yet." in text
    assert "Enter the client secret for this client id." in text
    assert ('value="Renamed"' in text, 'value="another"' in text) == (True, True)
    with organisation_scope(admin.organisation_id):
        app.refresh_from_db()
        assert (app.name, app.client_id, app.refresh_token_days) == ("Service app", CLIENTS["service"], 90)
