"""Sign-in at the vendor through the sandbox's real forms, by the person and by attackers."""

from datetime import timedelta
from html import unescape
from typing import Any
from urllib.parse import parse_qs, urlsplit

import psycopg
import pytest
from django.test import Client
from django.utils import timezone

from koppel.connections.app_registrations import services
from koppel.connections.app_registrations import services as registrations
from koppel.connections.app_registrations.services import check_app
from koppel.connections.models import (
    AppRegistration,
    Connection,
    ConsentAttempt,
    Grant,
    RateLimit,
    RemoteCompany,
)
from koppel.connections.tasks import erase_expired_sign_ins
from koppel.connectors.visma_net import consent as visma_net_consent
from koppel.kit.database.embedded_postgres import Addresses
from koppel.kit.encryption import Secret
from koppel.kit.tenancy import installation_scope, organisation_scope
from koppel.kit.web.token_buckets import TokenBuckets, TooManyRequests
from koppel.organisations.models import Organisation, User
from koppel.organisations.roles import Actor
from tests.fixtures.first_steps import REDIRECT_PATH, Newcomer, newcomer, path_of
from tests.fixtures.people import PASSWORD
from tests.fixtures.stack import CLIENT_SECRET, CLIENTS, MakeConnected, Sandbox, register_app, wait_until

APP = CLIENTS["company_list"]


@pytest.fixture
def anna(actor: Any, sandbox: Sandbox) -> Newcomer:
    return newcomer(actor("administrator"), sandbox)


def connections_of(actor: Actor) -> int:
    with organisation_scope(actor.organisation_id):
        return Connection.objects.count()


def token_calls(sandbox: Sandbox) -> int:
    return len(sandbox.calls("/connect/token"))


def words_of(response: Any) -> str:
    return unescape(response.content.decode())


def companies_of(firm: Any) -> list[RemoteCompany]:
    with organisation_scope(firm.actor.organisation_id):
        return list(RemoteCompany.objects.filter(connection=firm.connection).order_by("pk"))


@pytest.mark.usefixtures("worker")
def test_one_sign_in_lists_every_company_and_a_worker_describes_them(connected: MakeConnected) -> None:
    firm = connected()
    assert firm.connection.account == "demo@sandbox.example"
    listed = companies_of(firm)
    assert {one.name for one in listed} == {one["name"] for one in firm.sandbox.companies()}
    wait_until(lambda: all(one.described_at for one in companies_of(firm)))
    assert companies_of(firm)[0].country == firm.sandbox.companies()[0]["country"]


def test_the_sandbox_is_reset_for_each_test(sandbox: Sandbox) -> None:
    before = sandbox.companies()
    sandbox.control(f"companies/{before[0]['id']}", {"name": "Renamed"})
    sandbox.fault("/connect/token")
    sandbox.reset()
    assert sandbox.companies() == before


def test_anna_allows_and_comes_back_to_the_list(anna: Newcomer, sandbox: Sandbox) -> None:
    url = anna.begin(register_app(sandbox).pk)
    query = {key: values[0] for key, values in parse_qs(urlsplit(url).query).items()}
    assert (query["response_mode"], query["code_challenge_method"]) == ("form_post", "S256")
    assert query["state"] not in Client().get("/").content.decode()
    page = anna.return_with(sandbox.sign_in(url))
    assert path_of(page) == f"{anna.flow}choose"
    assert "8 administrations found" in words_of(page)


def test_the_authorisation_response_may_come_in_the_query_string(anna: Newcomer, sandbox: Sandbox) -> None:
    page = anna.return_with(sandbox.sign_in(anna.begin(register_app(sandbox).pk)), by="get")
    assert path_of(page) == f"{anna.flow}choose"


@pytest.mark.parametrize(
    ("language", "sentence"),
    [("en", "You did not allow access. Nothing was connected"), ("nl", "U heeft geen toegang gegeven")],
)
def test_cancel_instead_of_allow_connects_nothing_and_may_be_tried_again(
    actor: Any, sandbox: Sandbox, language: str, sentence: str
) -> None:
    anna, app = newcomer(actor(), sandbox, language), register_app(sandbox)
    page = anna.connect(app.pk, answer="cancel")
    assert path_of(page) == f"{anna.flow}sign-in"
    assert sentence in words_of(page)
    assert (connections_of(anna.actor), token_calls(sandbox)) == (0, 0)
    page = anna.return_with(sandbox.sign_in(anna.sign_in_again(app.pk)))
    assert path_of(page) == f"{anna.flow}choose"


@pytest.mark.parametrize(
    ("status", "header"), [(503, {"Retry-After": "3600"}), (429, {"Retry-After": "3600"})]
)
def test_no_sign_in_calls_the_token_endpoint_before_its_pause_is_over(
    anna: Newcomer, sandbox: Sandbox, status: int, header: dict[str, str]
) -> None:
    app = register_app(sandbox)
    first, second = (sandbox.sign_in(anna.begin(app.pk)) for _twice in range(2))
    sandbox.fault("/connect/token", status=status, times=50, headers=header)
    for authorisation_response in (first, second, second):
        assert "asked Koppel to wait until" in words_of(anna.return_with(authorisation_response))
    assert token_calls(sandbox) == 1
    assert "asked Koppel to wait until" in words_of(
        anna.client.post(f"{anna.flow}sign-in", {"app": str(app.pk)}, follow=True)
    )
    outcome = check_app(anna.actor, app.pk)
    assert (outcome.code, token_calls(sandbox)) == ("token_pause", 1)
    sandbox.release()
    with installation_scope("the pause ends"):
        RateLimit.objects.all().delete()
    assert path_of(anna.return_with(second)) == f"{anna.flow}choose", "the second sign-in was not used up"


def test_tests_of_the_installations_app_stop_no_other_organisation(
    anna: Newcomer, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(services, "_checks", TokenBuckets(per_minute=1, burst=1))
    app = register_app(sandbox)
    sandbox.fault("/connect/token", status=429, times=1, headers={"Retry-After": "900"})
    assert not check_app(anna.actor, app.pk).is_ok
    assert sandbox.sign_in(anna.begin(app.pk)), "its pause holds for no sign-in"
    with pytest.raises(TooManyRequests):
        check_app(anna.actor, app.pk)


def test_an_authorisation_response_with_forged_state_is_rejected(anna: Newcomer, sandbox: Sandbox) -> None:
    authorisation_response = sandbox.sign_in(anna.begin(register_app(sandbox).pk))
    page = anna.return_with({**authorisation_response, "state": "made-up"})
    assert (page.status_code, connections_of(anna.actor)) == (400, 0)
    assert "Nothing was changed" in words_of(page)


def test_a_replayed_answer_changes_nothing_and_its_code_is_sent_once(
    anna: Newcomer, sandbox: Sandbox
) -> None:
    authorisation_response = sandbox.sign_in(anna.begin(register_app(sandbox).pk))
    first = anna.return_with(authorisation_response)
    second_answer = anna.return_with({**authorisation_response, "code": "another-code"})
    assert path_of(first) == path_of(second_answer) == f"{anna.flow}choose"
    assert (connections_of(anna.actor), token_calls(sandbox)) == (1, 1)


def secrets_in_database(addresses: Addresses) -> set[bool]:
    """Whether sign-ins have secrets, looked up by SQL."""
    with psycopg.connect(addresses.superuser_url) as superuser:
        rows = superuser.execute(
            "SELECT length(secrets) + coalesce(length(authorisation_response), 0) > 0"
            " FROM connections_consent_attempt"
        )
        return {has_any for (has_any,) in rows.fetchall()}


def test_what_a_sign_in_needed_is_erased_when_it_is_over(
    anna: Newcomer, sandbox: Sandbox, database_addresses: Addresses
) -> None:
    """A copy of the database has no code and no verifier, whether the consent was granted, refused or never
    finished.
    """
    app = register_app(sandbox)
    authorisation_response = sandbox.sign_in(anna.begin(app.pk))
    assert secrets_in_database(database_addresses) == {True}
    anna.return_with(authorisation_response)
    assert secrets_in_database(database_addresses) == {False}
    anna.return_with(authorisation_response)
    anna.connect(app.pk, answer="cancel")
    assert secrets_in_database(database_addresses) == {False}
    anna.client.post(REDIRECT_PATH, sandbox.sign_in(anna.begin(app.pk)))
    erase_expired_sign_ins.func(0)
    assert secrets_in_database(database_addresses) == {True, False}
    with installation_scope("an hour later"):
        ConsentAttempt.objects.update(expires_at=timezone.now() - timedelta(hours=1))
    erase_expired_sign_ins.func(0)
    assert secrets_in_database(database_addresses) == {False}


@pytest.mark.parametrize(
    ("language", "sentence"),
    [("en", "already been used or has expired"), ("nl", "Deze aanmelding is al gebruikt")],
)
def test_a_code_of_another_sign_in_does_not_fit(
    actor: Any, sandbox: Sandbox, language: str, sentence: str
) -> None:
    anna, app = newcomer(actor(), sandbox, language), register_app(sandbox)
    stolen = sandbox.sign_in(anna.begin(app.pk))["code"]
    page = anna.return_with({**sandbox.sign_in(anna.begin(app.pk)), "code": stolen})
    assert sentence in words_of(page)
    assert connections_of(anna.actor) == 0


def test_the_signed_answer_must_carry_our_nonce(anna: Newcomer, sandbox: Sandbox) -> None:
    """Somebody opened the vendor's page with our state and challenge, but another nonce."""
    url = anna.begin(register_app(sandbox).pk)
    nonce = parse_qs(urlsplit(url).query)["nonce"][0]
    page = anna.return_with(sandbox.sign_in(url.replace(nonce, "another-nonce")))
    assert "belongs to another sign-in" in words_of(page)
    assert connections_of(anna.actor) == 0


def test_a_token_that_claims_to_live_for_ever_connects_all_the_same(anna: Newcomer, sandbox: Sandbox) -> None:
    """A date after the year 9999 there is not; the token is renewed long before."""
    sandbox.fault("/connect/token", kind="replace", old=": 3600", body=": 36" + "0" * 30, times=1)
    anna.connect(register_app(sandbox).pk)
    assert connections_of(anna.actor) == 1


def test_an_unexpected_authorisation_response_is_refused_with_a_sentence(
    anna: Newcomer, sandbox: Sandbox
) -> None:
    sandbox.fault(
        "/connect/token", kind="replace", old=": 3600", body=': 3600, "deep": ' + "[" * 20_000, times=1
    )
    page = anna.connect(register_app(sandbox).pk)
    assert (page.status_code, "is not responding properly" in words_of(page)) == (200, True)
    assert connections_of(anna.actor) == 0


@pytest.mark.parametrize("sub", [None, "", "s" * 201, "with a \0", 7])
def test_a_signed_response_without_subject_is_refused(
    anna: Newcomer, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, sub: object
) -> None:
    verified = visma_net_consent._verify_token

    async def without_subject(*arguments: Any, **named: Any) -> dict[str, Any]:
        return {**await verified(*arguments, **named), "sub": sub}

    monkeypatch.setattr(visma_net_consent, "_verify_token", without_subject)
    page = anna.connect(register_app(sandbox).pk)
    assert (page.status_code, "cannot be trusted" in words_of(page)) == (200, True)
    assert connections_of(anna.actor) == 0


def test_a_colleague_cannot_use_annas_sign_in(anna: Newcomer, actor: Any, sandbox: Sandbox) -> None:
    with organisation_scope(anna.actor.organisation_id):
        firm = Organisation.objects.get(pk=anna.actor.organisation_id)
    piet = newcomer(actor("administrator", organisation=firm, name="Piet Jansen"), sandbox)
    piet.client.cookies["koppel_consent"] = "guessed"
    page = piet.return_with(sandbox.sign_in(anna.begin(register_app(sandbox).pk)))
    assert "not yours" in words_of(page)
    assert connections_of(anna.actor) == 0


def test_a_sign_in_is_finished_in_the_browser_it_began_in(anna: Newcomer, sandbox: Sandbox) -> None:
    authorisation_response = sandbox.sign_in(anna.begin(register_app(sandbox).pk))
    elsewhere = newcomer(anna.actor, sandbox)
    assert "was started in another browser" in words_of(elsewhere.return_with(authorisation_response))
    assert connections_of(anna.actor) == 0
    anna.return_with(authorisation_response)
    assert connections_of(anna.actor) == 1


def test_signed_out_on_the_way_anna_signs_in_and_goes_on(anna: Newcomer, sandbox: Sandbox) -> None:
    authorisation_response = sandbox.sign_in(anna.begin(register_app(sandbox).pk))
    anna.client.post("/accounts/logout/")
    page = anna.return_with(authorisation_response)
    assert path_of(page) == "/accounts/login/"
    with organisation_scope(anna.actor.organisation_id):
        email = User.objects.get(pk=anna.actor.user_id).email
    page = anna.client.post(page.redirect_chain[-1][0], {"login": email, "password": PASSWORD}, follow=True)
    assert path_of(page) == f"{anna.flow}choose"
    assert connections_of(anna.actor) == 1


def test_an_answer_that_does_not_name_its_issuer_is_refused_where_the_vendor_always_does(
    anna: Newcomer, sandbox: Sandbox
) -> None:
    app = register_app(sandbox)
    sandbox.client(APP, names_issuer=False)
    assert "does not come from Visma" in words_of(anna.connect(app.pk))
    assert connections_of(anna.actor) == 0
    sandbox.control("settings", {"names_issuer": False})
    assert path_of(anna.connect(app.pk)) == f"{anna.flow}choose"


def test_an_answer_of_another_issuer_is_refused(anna: Newcomer, sandbox: Sandbox) -> None:
    authorisation_response = sandbox.sign_in(anna.begin(register_app(sandbox).pk))
    page = anna.return_with({**authorisation_response, "iss": "https://elsewhere.example"})
    assert "does not come from Visma" in words_of(page)
    assert (connections_of(anna.actor), token_calls(sandbox)) == (0, 0)


@pytest.mark.parametrize("names_issuer", [True, False])
def test_an_answer_for_one_app_registration_is_never_used_for_another(
    anna: Newcomer, sandbox: Sandbox, names_issuer: bool
) -> None:
    """All systems answer at one address.

    The sign-in began at the other environment's registration, with its own issuer.
    """
    own_app, foreign_app = register_app(sandbox), register_elsewhere(sandbox)
    began_there = anna.begin(foreign_app.pk)
    answer = sandbox.sign_in(anna.begin(own_app.pk))
    state = parse_qs(urlsplit(began_there).query)["state"][0]
    mixed = {key: value for key, value in answer.items() if key != "iss" or names_issuer}
    page = anna.return_with({**mixed, "state": state})
    assert "does not come from Visma" in words_of(page)
    assert (connections_of(anna.actor), token_calls(sandbox)) == (0, 0)


def test_a_code_of_another_app_registration_does_not_fit(anna: Newcomer, sandbox: Sandbox) -> None:
    """Two registrations at one issuer: the code belongs to the client that it was given to."""
    registration, other = register_app(sandbox), register_app(sandbox, "company_per_sign_in")
    stolen = sandbox.sign_in(anna.begin(registration.pk))["code"]
    page = anna.return_with({**sandbox.sign_in(anna.begin(other.pk)), "code": stolen})
    assert "already been used or has expired" in words_of(page)
    assert connections_of(anna.actor) == 0


def register_elsewhere(sandbox: Sandbox) -> AppRegistration:
    """The same vendor under another name, which is another issuer."""
    addresses = {key: url.replace("127.0.0.1", "localhost") for key, url in sandbox.addresses().items()}
    assert addresses != sandbox.addresses()
    with installation_scope("test set-up"):
        return registrations.register_app(
            connector="visma_net",
            environment="sandbox",
            consent_mode="company_per_sign_in",
            client_id=CLIENTS["company_per_sign_in"],
            client_secret=Secret(CLIENT_SECRET),
            base_urls=addresses,
        )


def test_an_answer_that_comes_too_late_starts_again(anna: Newcomer, sandbox: Sandbox) -> None:
    from django.utils import timezone

    authorisation_response = sandbox.sign_in(anna.begin(register_app(sandbox).pk))
    with organisation_scope(anna.actor.organisation_id):
        ConsentAttempt.objects.update(expires_at=timezone.now())
    assert "took too long" in words_of(anna.return_with(authorisation_response))
    assert token_calls(sandbox) == 0


@pytest.mark.parametrize("language", ["en", "nl"])
@pytest.mark.parametrize("case", ["secret", "scope_asked", "scope_given", "role", "down", "page"])
def test_failures_at_the_vendor_are_explained(actor: Any, sandbox: Sandbox, case: str, language: str) -> None:
    anna, user = newcomer(actor(), sandbox, language), "demo@sandbox.example"
    if case == "secret":
        sandbox.client(APP, secret="changed")
    elif case == "scope_asked":
        sandbox.client(APP, scopes=["openid", "email"])
    elif case == "scope_given":
        sandbox.client(APP, granted=["openid", "email"])
    elif case == "role":
        user = "none@sandbox.example"
    else:
        sandbox.fault("/connect/token", kind="status" if case == "down" else "html", status=503)
    page = anna.connect(register_app(sandbox).pk, user=user)
    assert SENTENCES[case][language] in words_of(page)
    assert path_of(page) == f"{anna.flow}sign-in"
    with organisation_scope(anna.actor.organisation_id):
        assert not Grant.objects.exists()
    if case == "scope_given":
        (family,) = sandbox.control("tokens?families=1")["families"].values()
        assert family["revoked"], "what was given and is of no use was given back"


SENTENCES = {
    "secret": {
        "en": "enters the new one under App registrations",
        "nl": "vult het nieuwe in bij App-registraties",
    },
    "scope_asked": {"en": "lacks a scope that Koppel needs", "nl": "mist een scope die Koppel nodig heeft"},
    "scope_given": {"en": "lacks a permission (scope)", "nl": "ontbreekt een recht (scope)"},
    "role": {
        "en": "it takes 10 to 15 minutes to work",
        "nl": "het duurt 10 tot 15 minuten voordat die werkt",
    },
    "down": {"en": "is not responding properly", "nl": "reageert niet goed"},
    "page": {"en": "is not responding properly", "nl": "reageert niet goed"},
}


def test_a_role_that_was_just_given_works_after_a_quarter_of_an_hour(
    anna: Newcomer, sandbox: Sandbox
) -> None:
    app, user = register_app(sandbox), "none@sandbox.example"
    sandbox.control("clock", {"advance_seconds": -901})
    sandbox.control("settings", {"reach": {user: 2}, "reach_in_seconds": 900})
    assert "10 to 15 minutes" in words_of(anna.connect(app.pk, user=user))
    sandbox.control("clock", {"advance_seconds": 901})
    assert "2 administrations found" in words_of(anna.connect(app.pk, user=user))
