"""Two organisations with identity providers, one hostile: responses are never mixed up."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import pytest
from django.conf import settings
from django.test import Client

from koppel.audit.models import AuditEntry
from koppel.kit.tenancy import organisation_scope
from koppel.organisations.access import domain_owners
from koppel.organisations.bootstrap import shell_operator
from koppel.organisations.models import FederatedIdentity, IdentityProvider
from koppel.organisations.roles import Actor
from tests.fixtures.people import signed_in
from tests.organisations.identity_provider import CLIENT_ID
from tests.organisations.provider_processes import (
    Idp,
    begin,
    configure,
    email_of,
    get_redirect,
    link,
    open_address,
    provider_id,
    query_of,
    running_idp,
    sign_in_through_provider,
)


@pytest.fixture(scope="module")
def running_providers() -> Iterator[tuple[Idp, Idp]]:
    with running_idp() as honest_provider, running_idp() as hostile_provider:
        yield honest_provider, hostile_provider


@pytest.fixture
def ada(actor: Any) -> Actor:
    """Administrator of the honest firm, the victim."""
    return actor("administrator", name="Ada")  # type: ignore[no-any-return]


@pytest.fixture
def eve(actor: Any) -> Actor:
    """Administrator of the hostile firm."""
    return actor("administrator", name="Eve")  # type: ignore[no-any-return]


@pytest.fixture
def honest_provider(running_providers: tuple[Idp, Idp], ada: Actor) -> Idp:
    """Signs in Ada, to whom it is linked, and accepts the redirect address that was registered alone."""
    idp = running_providers[0]
    idp.reset()
    configure(ada, idp)
    idp.says(sub="ada", email=email_of(ada), email_verified=True)
    link(ada, ada)
    idp.control(redirect_uris=[redirect_address_of(ada)])
    return idp


@pytest.fixture
def hostile_provider(running_providers: tuple[Idp, Idp], honest_provider: Idp, eve: Actor) -> Idp:
    idp = running_providers[1]
    idp.reset()
    configure(eve, idp)
    idp.says(sub="eve", email=email_of(eve), email_verified=True)
    link(eve, eve)
    return idp


def redirect_address_of(admin: Actor) -> str:
    return f"{settings.PUBLIC_URL}/sign-in/{provider_id(admin)}/callback"


def sends_on_to(
    hostile_provider: Idp, honest_provider: Idp, stolen: dict[str, str], redirect_uri: str
) -> None:
    """The hostile sign-in page leads the browser to the honest one, for a sign-in that the attacker began
    there.
    """
    parameters = {
        "response_type": "code",
        "client_id": CLIENT_ID,
        "redirect_uri": redirect_uri,
        "scope": "openid email",
        "nonce": stolen["nonce"],
        "code_challenge": stolen["code_challenge"],
        "code_challenge_method": "S256",
    }
    hostile_provider.control(leads_to=f"{honest_provider.issuer}/authorize?{urlencode(parameters)}")


def who_is(client: Client) -> Any:
    answer = client.get("/api/v1/me")
    return answer.json()["name"] if answer.status_code == 200 else None


def refusals_of(admin: Actor) -> list[str]:
    with organisation_scope(admin.organisation_id):
        entries = AuditEntry.objects.filter(action="sign_in.refused").order_by("pk")
        return [entry.details["reason"] for entry in entries]


@pytest.mark.parametrize("announces", [True, False])
def test_an_answer_of_the_honest_provider_never_reaches_the_hostile_one(
    ada: Actor, eve: Actor, honest_provider: Idp, hostile_provider: Idp, announces: bool
) -> None:
    """The mix-up: Ada follows a genuine link to Eve's provider, which leads her on to her own one."""
    honest_provider.control(announces=announces)
    attacker, victim = Client(), Client()
    stolen = query_of(begin(ada, attacker))
    sends_on_to(hostile_provider, honest_provider, stolen, redirect_address_of(ada))
    before = hostile_provider.received()
    answer = get_redirect(get_redirect(begin(eve, victim)))
    assert "code" in query_of(answer)
    assert open_address(victim, answer).status_code == 403
    assert hostile_provider.received() == before, "The code goes nowhere."
    assert refusals_of(ada) == refusals_of(eve) == ["other_provider"], "Both firms read of it."
    assert (who_is(victim), who_is(attacker)) == (None, None)


def test_the_honest_provider_knows_no_redirect_address_of_the_hostile_one(
    ada: Actor, eve: Actor, honest_provider: Idp, hostile_provider: Idp
) -> None:
    stolen = query_of(begin(ada, Client()))
    sends_on_to(hostile_provider, honest_provider, stolen, redirect_address_of(eve))
    onward = get_redirect(begin(eve, Client()))
    with pytest.raises(AssertionError, match="redirect_uri_mismatch"):
        get_redirect(onward)


@pytest.mark.parametrize("names_itself", [True, False])
def test_a_code_of_the_honest_provider_is_not_redeemed_at_the_hostile_one(
    ada: Actor, eve: Actor, honest_provider: Idp, hostile_provider: Idp, names_itself: bool
) -> None:
    """A careless Administrator registered both addresses at the honest provider: `iss` still tells, where it
    is sent.
    """
    honest_provider.control(announces=names_itself, redirect_uris=None)
    hostile_provider.control(announces=True)
    victim = Client()
    sends_on_to(hostile_provider, honest_provider, query_of(begin(ada, Client())), redirect_address_of(eve))
    before = hostile_provider.received()
    assert open_address(victim, get_redirect(get_redirect(begin(eve, victim)))).status_code == 403
    assert hostile_provider.received() == before
    assert refusals_of(eve) == ["other_provider" if names_itself else "issuer_missing"]


def test_an_answer_of_the_hostile_provider_opens_nothing_at_the_honest_one(
    ada: Actor, eve: Actor, honest_provider: Idp, hostile_provider: Idp
) -> None:
    """The other direction: what began at Ada's provider is answered by Eve's, with Ada's subject."""
    hostile_provider.says(sub="ada", email=email_of(ada), email_verified=True)
    browser = Client()
    genuine = query_of(begin(ada, browser))
    forged = get_redirect(f"{hostile_provider.issuer}/authorize?{urlencode(genuine)}")
    before = honest_provider.received()
    assert open_address(browser, forged).status_code == 403
    assert [code for code in honest_provider.received() if code not in before] == [query_of(forged)["code"]]
    assert refusals_of(ada) == ["code_refused"]
    assert who_is(browser) is None


def test_a_code_injected_at_the_other_providers_address_is_refused(
    ada: Actor, eve: Actor, honest_provider: Idp, hostile_provider: Idp
) -> None:
    browser = Client()
    answer = query_of(get_redirect(begin(ada, browser)))
    before = honest_provider.received(), hostile_provider.received()
    assert (
        open_address(browser, f"/sign-in/{provider_id(eve)}/callback?{urlencode(answer)}").status_code == 403
    )
    assert (honest_provider.received(), hostile_provider.received()) == before
    assert refusals_of(ada) == refusals_of(eve) == ["other_provider"]
    second_response = open_address(browser, f"/sign-in/{provider_id(ada)}/callback?{urlencode(answer)}")
    assert (second_response.status_code, who_is(browser)) == (400, None), "The attempt was used up."


def test_an_answer_that_another_browser_got_opens_nothing(ada: Actor, honest_provider: Idp) -> None:
    attacker, victim = Client(), Client()
    answer = get_redirect(begin(ada, victim))
    begin(ada, attacker)
    assert (open_address(attacker, answer).status_code, who_is(attacker)) == (400, None)
    stolen = {**query_of(answer), "state": query_of(begin(ada, attacker))["state"]}
    assert (
        open_address(attacker, f"/sign-in/{provider_id(ada)}/callback?{urlencode(stolen)}").status_code == 403
    )
    assert who_is(attacker) is None


@pytest.mark.parametrize("fault", ["no iss", "other iss", "empty iss"])
def test_an_announced_iss_must_be_there_and_be_the_providers_own(
    ada: Actor, honest_provider: Idp, fault: str
) -> None:
    honest_provider.control(announces=True)
    assert sign_in_through_provider(ada).status_code == 302
    honest_provider.control(fault=fault)
    before = honest_provider.received()
    answer = sign_in_through_provider(ada)
    assert (answer.status_code, who_is(answer.client)) == (403, None)
    assert honest_provider.received() == before
    assert refusals_of(ada) == ["issuer_missing" if fault == "no iss" else "other_provider"]


def test_an_unannounced_iss_is_compared_too(ada: Actor, honest_provider: Idp) -> None:
    honest_provider.control(fault="other iss")
    assert sign_in_through_provider(ada).status_code == 403
    assert refusals_of(ada) == ["other_provider"]


def test_two_iss_in_one_answer_are_refused(ada: Actor, honest_provider: Idp) -> None:
    honest_provider.control(announces=True)
    browser = Client()
    answer = get_redirect(begin(ada, browser))
    assert open_address(browser, f"{answer}&iss=https://login.elsewhere.test").status_code == 403
    browser = Client()
    answer = get_redirect(begin(ada, browser)).replace("iss=", "iss=https://login.elsewhere.test&iss=")
    assert open_address(browser, answer).status_code == 403


def test_the_same_subject_at_two_issuers_is_two_people(
    ada: Actor, eve: Actor, honest_provider: Idp, hostile_provider: Idp
) -> None:
    hostile_provider.says(sub="ada", email=email_of(ada), email_verified=True)
    assert sign_in_through_provider(eve).status_code == 403
    assert who_is(sign_in_through_provider(ada).client) == "Ada"


def test_links_belong_to_the_issuer_at_which_they_were_made(
    ada: Actor, honest_provider: Idp, running_providers: tuple[Idp, Idp]
) -> None:
    """The firm names another provider, in which the same subject is somebody else; later it comes back to the
    first.
    """
    other = running_providers[1]
    other.reset()
    other.says(sub="ada", email=email_of(ada), email_verified=True)
    configure(ada, other)
    answer = sign_in_through_provider(ada)
    assert (answer.status_code, who_is(answer.client)) == (403, None)
    link(ada, ada)
    assert who_is(sign_in_through_provider(ada).client) == "Ada"
    configure(ada, honest_provider)
    assert who_is(sign_in_through_provider(ada).client) == "Ada"
    with organisation_scope(ada.organisation_id):
        assert {row.issuer for row in FederatedIdentity.objects.all()} == {
            honest_provider.issuer,
            other.issuer,
        }


def test_an_attempt_does_not_outlive_the_issuer_that_it_began_at(
    ada: Actor, honest_provider: Idp, running_providers: tuple[Idp, Idp]
) -> None:
    browser = Client()
    answer = get_redirect(begin(ada, browser))
    running_providers[1].reset()
    configure(ada, running_providers[1])
    assert (open_address(browser, answer).status_code, who_is(browser)) == (403, None)
    assert refusals_of(ada) == ["other_provider"]


def test_no_page_leaves_for_a_provider_without_the_persons_own_click(
    ada: Actor, honest_provider: Idp
) -> None:
    for address in (f"/sign-in/{provider_id(ada)}/", "/sign-in/"):
        assert Client().get(address).status_code == 200
    with organisation_scope(ada.organisation_id):
        assert IdentityProvider.objects.get().is_active
    domain_owners.confirm(shell_operator("shell", ""), ada.organisation_id, "example.test")
    page = Client().post("/sign-in/", {"email": email_of(ada)})
    assert (page.status_code, honest_provider.issuer.removeprefix("http://") in page.content.decode()) == (
        200,
        True,
    )
    assert (
        signed_in(ada).get(f"/sign-in/{provider_id(ada)}/link").headers["Location"]
        == f"/sign-in/{provider_id(ada)}/"
    )


def test_unsolicited_responses_do_not_fill_the_audit_log_of_others(
    ada: Actor, eve: Actor, honest_provider: Idp, hostile_provider: Idp
) -> None:
    """Eve's own attempts are answered at Ada's address, again and again."""
    browser = Client()
    for number in range(6):
        state = query_of(begin(eve, browser))["state"]
        answer = browser.get(f"{redirect_address_of(ada)}?state={state}&code={number}")
        assert answer.status_code == 403
    assert refusals_of(ada) == refusals_of(eve) == ["other_provider"]
