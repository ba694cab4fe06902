"""Sign-in: second factor, passkeys, sessions, throttling, switching organisations, operators."""

from datetime import timedelta
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value, yield_hotp_counters_from_time
from django.core import mail
from django.core.cache import cache
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from koppel.audit.models import AuditEntry
from koppel.kit.tenancy import organisation_scope
from koppel.organisations.access import api_tokens
from koppel.organisations.models import Division, Membership, Organisation, User, UserSession
from koppel.organisations.people import operators
from koppel.organisations.roles import Actor
from tests.books.factories import administration_of
from tests.fixtures.confirmation import post_and_confirm
from tests.fixtures.forms import form_of
from tests.fixtures.people import PASSWORD, deliver_password_links, signed_in

LOGIN = "/accounts/login/"
SECURITY = "/organisation/security/"
NEEDED = "/account/second-step/"


def email_of(person: Actor) -> str:
    return User.objects.get(pk=person.user_id).email


def with_password(person: Actor, **more: Any) -> Client:
    client = Client(**more)
    client.post(LOGIN, {"login": email_of(person), "password": PASSWORD})
    return client


def code_of(secret: str) -> str:
    """What an app shows now. The code before it is taken too, but only until the half minute is over."""
    before, now, after = yield_hotp_counters_from_time()
    assert before < now < after
    return format_hotp_value(hotp_value(secret, now))


def set_up_app(client: Client) -> str:
    """Set up an authenticator app as its pages ask for it; the app's secret."""
    first = client.get("/accounts/2fa/totp/activate/")
    assert first.status_code == 200, (first.status_code, first.headers.get("Location"))
    secret = str(client.session["mfa.totp.secret"])
    answer = client.post("/accounts/2fa/totp/activate/", {"code": code_of(secret)})
    assert answer.status_code == 302, answer.content.decode()
    return secret


def test_a_password_alone_no_longer_suffices_and_secrets_are_sealed(actor: Any) -> None:
    user = actor("user")
    secret = set_up_app(with_password(user))
    stored = Authenticator.objects.get(type=Authenticator.Type.TOTP)
    assert secret not in str(stored.data)
    client = Client()
    half = client.post(LOGIN, {"login": email_of(user), "password": PASSWORD})
    assert half.headers["Location"].startswith("/accounts/2fa/authenticate/")
    assert client.get("/").status_code == 302
    assert client.post("/accounts/2fa/authenticate/", {"code": "000000"}).status_code == 200
    Authenticator.objects.filter(pk=stored.pk).update(last_used_at=timezone.now() - timedelta(minutes=5))
    codes = Authenticator.objects.get(type=Authenticator.Type.RECOVERY_CODES).wrap().get_unused_codes()
    assert client.post("/accounts/2fa/authenticate/", {"code": codes[0]}).headers["Location"] == "/"
    assert client.get("/").status_code == 200
    second_browser = Client()
    second_browser.post(LOGIN, {"login": email_of(user), "password": PASSWORD})
    assert second_browser.post("/accounts/2fa/authenticate/", {"code": codes[0]}).status_code == 200, (
        "A code works once."
    )


def test_where_a_second_step_is_required_nothing_else_can_be_done_before(actor: Any) -> None:
    admin = actor("administrator")
    with organisation_scope(admin.organisation_id):
        firm = Organisation.objects.get()
    user = actor("user", organisation=firm)
    with organisation_scope(firm.pk):
        token = api_tokens.create_token(user, name="t", days=30, role=None, read_only=True)[1].reveal()
    client = with_password(admin)
    refused = client.post(SECURITY, {"requires_mfa": "1", "audit_years": "7"}, follow=True)
    assert "for yourself first" in refused.content.decode()
    set_up_app(client)
    client.post(SECURITY, {"requires_mfa": "1", "audit_years": "7"})
    assert client.get("/").status_code == 200
    member = with_password(user)
    for page in ("/", "/administrations/", "/account/tokens/", "/notifications/"):
        assert member.get(page).headers["Location"] == NEEDED, page
    answer = member.get("/api/v1/me")
    assert (answer.status_code, answer.json()) == (403, {"error": "second_step_needed"})
    assert "authenticator app" in member.get(NEEDED).content.decode()
    program = {"headers": {"Authorization": f"Bearer {token}"}}
    answer = Client().get("/api/v1/me", **program)
    assert (answer.status_code, answer.json()) == (403, {"error": "second_step_needed"}), (
        "Nor by a token of before."
    )
    set_up_app(member)
    assert Client().get("/api/v1/me", **program).status_code == 200
    assert member.get("/").status_code == 200


def test_a_code_is_accepted_once_also_the_one_that_set_the_app_up(actor: Any) -> None:
    user = actor("user")
    secret = set_up_app(with_password(user))
    _before, now, after = yield_hotp_counters_from_time()
    used, next_code = (format_hotp_value(hotp_value(secret, step)) for step in (now, after))
    path = "/accounts/2fa/authenticate/"
    assert with_password(user).post(path, {"code": used}).status_code == 200
    assert with_password(user).post(path, {"code": next_code}).headers["Location"] == "/"
    cache.clear()  # what allauth itself remembers of codes is forgotten before the code has lapsed
    assert with_password(user).post(path, {"code": next_code}).status_code == 200
    assert with_password(user).post(path, {"code": used}).status_code == 200, "Nor an older one."


def test_secrets_of_another_account_open_nothing(actor: Any) -> None:
    admin, thief = actor("administrator"), actor("user")
    set_up_app(with_password(admin))
    secret = set_up_app(with_password(thief))
    stolen = {row.type: row.data for row in Authenticator.objects.filter(user_id=thief.user_id)}
    codes = Authenticator.objects.get(user_id=thief.user_id, type="recovery_codes").wrap().get_unused_codes()
    for kind, data in stolen.items():
        Authenticator.objects.filter(user_id=admin.user_id, type=kind).update(data=data)
    after = list(yield_hotp_counters_from_time())[-1]
    for code in (format_hotp_value(hotp_value(secret, after)), codes[0]):
        client = with_password(admin)
        assert client.post("/accounts/2fa/authenticate/", {"code": code}).status_code == 200
        assert client.get("/").status_code == 302


def test_passkeys_are_offered_and_their_pages_answer(actor: Any) -> None:
    client = with_password(actor("user"))
    assert "passkey" in Client().get(LOGIN).content.decode()
    page = client.get("/accounts/2fa/webauthn/add/").content.decode()
    assert "creation_options" in page
    assert (
        "request_options"
        in Client().get("/accounts/2fa/webauthn/login/", headers={"accept": "application/json"}).json()
    )


def test_sessions_are_listed_and_ended(actor: Any) -> None:
    user = actor("user")
    firefox, chrome = (
        with_password(user),
        with_password(user, headers={"user-agent": "Mozilla Windows Chrome/1"}),
    )
    page = firefox.get("/account/sessions/").content.decode()
    assert "Chrome · Windows" in page
    assert "This device" in page
    other = UserSession.objects.get(browser__contains="Chrome")
    firefox.post("/account/sessions/", {"id": other.pk})
    assert chrome.get("/").status_code == 302
    assert firefox.get("/").status_code == 200
    stranger = signed_in(actor("administrator"))
    current_session = UserSession.objects.get(session_key=firefox.session.session_key)
    stranger.post("/account/sessions/", {"id": current_session.pk})
    assert firefox.get("/").status_code == 200


def test_signing_out_everywhere_leaves_no_session_no_known_browser_and_asks_about_tokens(actor: Any) -> None:
    """The cookie of a known browser would let a thief guess apart from all others."""
    user, sessions = actor("user"), "/account/sessions/"
    laptop, desk = with_password(user, REMOTE_ADDR="198.51.100.7"), with_password(user)
    with organisation_scope(user.organisation_id):
        _token, text = api_tokens.create_token(user, name="Script", days=30, role=None, read_only=True)
    bearer = {"Authorization": f"Bearer {text.reveal()}"}
    page = desk.get(sessions).content.decode()
    assert "no places" in page
    assert "1 API token keeps working" in page
    post_and_confirm(desk, sessions, {"all": "sessions"})
    assert [client.get("/").status_code for client in (laptop, desk)] == [302, 302]
    assert Client().get("/api/v1/me", headers=bearer).status_code == 200
    for _ in range(6):
        Client(REMOTE_ADDR="198.51.100.7").post(LOGIN, {"login": email_of(user), "password": "wrong"})
    refusal = laptop.post(LOGIN, {"login": email_of(user), "password": PASSWORD})
    assert "Too many" in refusal.content.decode(), "It is counted with its network, as any other browser."
    desk = with_password(user)
    post_and_confirm(desk, sessions, {"all": "tokens"})
    assert Client().get("/api/v1/me", headers=bearer).status_code == 401
    assert "keeps working" not in desk.get(sessions).content.decode()


def test_an_administrator_ends_a_persons_sessions_here_and_not_elsewhere(actor: Any) -> None:
    admin, elsewhere = actor("administrator"), actor("user")
    with organisation_scope(admin.organisation_id):
        membership = Membership.objects.create(
            organisation_id=admin.organisation_id, user_id=elsewhere.user_id, role="user"
        )
    at_home, at_ours = signed_in(elsewhere), signed_in(elsewhere)
    at_home.post("/account/organisations/", {"organisation": elsewhere.organisation_id})
    at_home.get("/")
    at_ours.post("/account/organisations/", {"organisation": admin.organisation_id})
    at_ours.get("/")
    post_and_confirm(signed_in(admin), f"/organisation/people/{membership.pk}/end-sessions")
    assert (at_home.get("/").status_code, at_ours.get("/").status_code) == (200, 302)


def test_guessing_is_slowed_down_over_all_processes(actor: Any) -> None:
    user = actor("user")
    for _ in range(6):
        answer = Client().post(LOGIN, {"login": email_of(user), "password": "wrong"})
    assert "Too many" in answer.content.decode()
    assert Client().post(LOGIN, {"login": email_of(user), "password": PASSWORD}).status_code == 200, (
        "Not even rightly."
    )


def test_a_strangers_guesses_lock_out_the_stranger_alone(actor: Any) -> None:
    user = actor("user")
    at_home = with_password(user, REMOTE_ADDR="198.51.100.7")
    at_home.post("/accounts/logout/")
    right = {"login": email_of(user), "password": PASSWORD}
    for _ in range(6):
        Client(REMOTE_ADDR="203.0.113.9").post(LOGIN, {**right, "password": "wrong"})
    refused = Client(REMOTE_ADDR="203.0.113.9").post(LOGIN, right)
    assert "Too many" in refused.content.decode()
    assert Client(REMOTE_ADDR="192.0.2.44").post(LOGIN, right).status_code == 302, (
        "From elsewhere, a new browser."
    )
    for number in range(100):
        Client(REMOTE_ADDR=f"2001:db8:{number}::1").post(LOGIN, {**right, "password": "wrong"})
    assert "Too many" in Client(REMOTE_ADDR="192.0.2.45").post(LOGIN, right).content.decode(), (
        "Guessed from everywhere."
    )
    assert at_home.post(LOGIN, right).status_code == 302, (
        "A browser that is known is not kept out by strangers."
    )
    forged = Client(REMOTE_ADDR="203.0.113.9")
    forged.cookies["koppel_browser"] = at_home.cookies["koppel_browser"].value[:-2] + "xx"
    assert "Too many" in forged.post(LOGIN, right).content.decode()


def test_a_sign_in_is_audited(actor: Any) -> None:
    user = actor("user")
    with_password(user)
    with organisation_scope(user.organisation_id):
        entry = AuditEntry.objects.get(action="person.signed_in")
    assert (entry.actor_id, entry.ip_address, entry.interface) == (user.user_id, "127.0.0.1", "web")


def test_who_belongs_to_two_organisations_switches(actor: Any) -> None:
    first, second = actor("administrator"), actor("administrator")
    with organisation_scope(second.organisation_id):
        Organisation.objects.update(name="Kantoor Oost")
        Membership.objects.create(
            organisation_id=second.organisation_id, user_id=first.user_id, role="reader"
        )
    client = signed_in(first)
    assert "Kantoor Oost" in client.get("/account/organisations/").content.decode()
    client.post("/account/organisations/", {"organisation": second.organisation_id})
    me = client.get("/api/v1/me").json()
    assert (me["organisation"]["name"], me["role"]) == ("Kantoor Oost", "reader")
    assert client.get("/organisation/people/").status_code == 403
    outsider = signed_in(actor("user"))
    outsider.post("/account/organisations/", {"organisation": second.organisation_id})
    assert outsider.get("/api/v1/me").json()["organisation"]["id"] != second.organisation_id


def test_what_was_opened_in_one_organisation_is_not_sent_into_another(actor: Any) -> None:
    """Two tabs, one session; and a membership that ends between opening a form and sending it."""
    first, second = actor("administrator"), actor("administrator")
    with organisation_scope(second.organisation_id):
        elsewhere = Membership.objects.create(
            organisation_id=second.organisation_id, user_id=first.user_id, role="administrator"
        )
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(User.objects.get(pk=first.user_id))

    def send(page: str, **form: Any) -> Any:
        return browser.post(page, {**form, "csrfmiddlewaretoken": mark})

    browser.get("/organisation/divisions/")
    mark = browser.cookies["koppel_csrf"].value
    assert send("/account/organisations/", organisation=second.organisation_id).status_code == 302
    assert send("/organisation/divisions/", name="Zuid").status_code == 403, (
        "Opened in the first, sent in the second."
    )
    mark = browser.cookies["koppel_csrf"].value
    with organisation_scope(second.organisation_id):
        Membership.objects.filter(pk=elsewhere.pk).update(expires_at=timezone.now() - timedelta(seconds=1))
    assert send("/organisation/divisions/", name="Noord").headers["Location"] == "/"
    for member in (first, second):
        with organisation_scope(member.organisation_id):
            assert not Division.objects.exists()


def test_who_must_first_set_up_a_second_step_here_may_work_elsewhere(actor: Any) -> None:
    strict, easy = actor("administrator"), actor("administrator")
    with organisation_scope(easy.organisation_id):
        Organisation.objects.update(name="Kantoor Oost")
        Membership.objects.create(organisation_id=easy.organisation_id, user_id=strict.user_id, role="reader")
    with organisation_scope(strict.organisation_id):
        Organisation.objects.update(requires_mfa=True)
    client = with_password(strict)
    assert client.get("/").headers["Location"] == NEEDED
    assert "Kantoor Oost" in client.get(NEEDED).content.decode()
    client.post("/account/organisations/", {"organisation": easy.organisation_id})
    assert client.get("/").status_code == 200
    client.post("/account/organisations/", {"organisation": strict.organisation_id})
    assert client.get("/").headers["Location"] == NEEDED


@pytest.fixture
def operator(actor: Any) -> Actor:
    user = actor("user", name="Otto")
    operators.grant_operator(email_of(user), is_operator=True)
    return user  # type: ignore[no-any-return]


def look_in(operator: Actor, admin: Actor) -> Client:
    client = signed_in(operator)
    client.post("/operator/enter", {"organisation": admin.organisation_id})
    return client


def test_an_operator_looks_in_only_while_the_organisation_lets_them(actor: Any, operator: Actor) -> None:
    admin = actor("administrator")
    visible = administration_of(admin, "Zichtbaar B.V.")
    secret = administration_of(admin, "Geheim B.V.", restricted=True)
    client = look_in(operator, admin)
    assert client.get(f"/administrations/{visible.pk}/").status_code == 404
    signed_in(admin).post(SECURITY + "support", {"hours": "2"})
    client = look_in(operator, admin)
    page = client.get(f"/administrations/{visible.pk}/").content.decode()
    assert "Zichtbaar" in page
    assert "read only" in page
    assert client.get(f"/administrations/{secret.pk}/books/").status_code == 404
    assert client.get(f"/administrations/{visible.pk}/books/").status_code == 200
    for path in ("/organisation/settings/", f"/administrations/{visible.pk}/settings/", "/account/tokens/"):
        assert client.post(path, {"name": "x", "days": "30"}).status_code == 403, path
    signed_in(admin).post(SECURITY + "support/withdraw")
    assert client.get(f"/administrations/{visible.pk}/").status_code == 404
    with organisation_scope(admin.organisation_id):
        acts = (
            AuditEntry.objects.filter(actor_kind="operator")
            .order_by("pk")
            .values_list("action", "actor_name")
        )
        assert list(acts) == [
            ("operator.access_started", "Otto"),
            ("administration.access_refused", "Otto"),
            ("books.accessed", "Otto"),
        ]


def test_support_ends_by_itself_and_by_leaving(actor: Any, operator: Actor) -> None:
    admin = actor("administrator")
    signed_in(admin).post(SECURITY + "support", {"hours": "2"})
    client = look_in(operator, admin)
    assert client.get("/organisation/people/").status_code == 200
    client.post("/operator/leave")
    assert client.get("/organisation/people/").status_code == 403
    client = look_in(operator, admin)
    with organisation_scope(admin.organisation_id):
        Organisation.objects.update(operator_access_until=timezone.now() - timedelta(seconds=1))
    assert client.get("/organisation/people/").status_code == 403


def test_an_operator_needs_the_second_step_that_the_organisation_requires(
    actor: Any, operator: Actor
) -> None:
    admin = actor("administrator")
    signed_in(admin).post(SECURITY + "support", {"hours": "2"})
    before = look_in(operator, admin)
    with organisation_scope(admin.organisation_id):
        Organisation.objects.update(requires_mfa=True)
    assert before.get("/organisation/people/").status_code == 403, "Required while they look in."
    client = signed_in(operator)
    refused = client.post("/operator/enter", {"organisation": admin.organisation_id})
    assert (refused.status_code, "two-step verification" in refused.content.decode()) == (403, True)
    set_up_app(with_password(operator))
    assert look_in(operator, admin).get("/organisation/people/").status_code == 200


def test_the_operator_pages_do_not_exist_for_others(actor: Any) -> None:
    admin = actor("administrator")
    signed_in(admin).post(SECURITY + "support", {"hours": "2"})
    other = signed_in(actor("administrator"))
    assert other.get("/operator/").status_code == 404
    assert other.post("/operator/enter", {"organisation": admin.organisation_id}).status_code == 404


def test_opening_restricted_books_is_audited(actor: Any) -> None:
    from tests.books.factories import assign

    admin = actor("administrator")
    restricted, other = (
        administration_of(admin, "Geheim", restricted=True),
        administration_of(admin, "Gewoon"),
    )
    assign(admin, restricted)
    client = signed_in(admin)
    for _ in range(2):
        client.get(f"/administrations/{restricted.pk}/books/")
    client.get(f"/administrations/{other.pk}/books/")
    with organisation_scope(admin.organisation_id):
        entry = AuditEntry.objects.get(action="books.accessed")
        assert (entry.subject_id, entry.actor_id) == (restricted.pk, admin.user_id)
        text = api_tokens.create_token(admin, name="t", days=30, role=None, read_only=True)[1].reveal()
    Client().get(
        f"/api/v1/administrations/{restricted.pk}/books", headers={"Authorization": f"Bearer {text}"}
    )
    with organisation_scope(admin.organisation_id):
        assert AuditEntry.objects.filter(action="books.accessed", interface="api").count() == 1


def test_a_session_in_which_the_password_was_changed_is_still_seen_and_ended(actor: Any) -> None:
    admin = actor("administrator")
    with organisation_scope(admin.organisation_id):
        user = actor("user", organisation=Organisation.objects.get())
    client, other = with_password(user), with_password(user)
    fresh = "another correct horse battery"
    form = {"oldpassword": PASSWORD, "password1": fresh, "password2": fresh}
    assert client.post("/accounts/password/change/", form).status_code == 302
    page = client.get("/account/sessions/").content.decode()
    assert "This device" in page
    assert other.get("/").status_code == 302
    with organisation_scope(admin.organisation_id):
        assert UserSession.objects.filter(user_id=user.user_id).count() == 1, (
            "the others ended with the password"
        )
    post_and_confirm(signed_in(admin), f"/organisation/people/{user.membership_id}/end-sessions")
    assert client.get("/").status_code == 302


@pytest.mark.parametrize("ends", ["leaves", "support ends"])
def test_a_form_opened_as_operator_changes_nothing_in_the_operators_own_organisation(
    actor: Any, ends: str
) -> None:
    otto, admin = actor("administrator", name="Otto"), actor("administrator")
    operators.grant_operator(email_of(otto), is_operator=True)
    signed_in(admin).post(SECURITY + "support", {"hours": "2"})
    client = Client(enforce_csrf_checks=True)
    client.force_login(User.objects.get(pk=otto.user_id))

    def token() -> str:
        client.get("/account/api/")
        return client.cookies["koppel_csrf"].value

    client.get("/organisation/settings/")
    client.post("/operator/enter", {"organisation": admin.organisation_id, "csrfmiddlewaretoken": token()})
    page = client.get("/organisation/settings/")
    form = {"name": "Theirs", "csrfmiddlewaretoken": form_of(page.content.decode())["csrfmiddlewaretoken"][0]}
    assert client.post("/organisation/settings/", form).status_code == 403
    if ends == "leaves":
        client.post("/operator/leave", {"csrfmiddlewaretoken": form["csrfmiddlewaretoken"]})
    else:
        signed_in(admin).post(SECURITY + "support/withdraw")
    client.post("/organisation/settings/", form)
    with organisation_scope(otto.organisation_id):
        assert Organisation.objects.get(pk=otto.organisation_id).name != "Theirs"


def test_a_failed_sign_in_does_the_same_work_for_an_unknown_address(actor: Any) -> None:
    """Apart from the first in ten minutes, which is written to the log."""
    work = []
    for email in (email_of(actor("user")), "nobody@example.test"):
        for _number in range(2):
            with CaptureQueriesContext(connection) as queries:
                answer = Client().post("/accounts/login/", {"login": email, "password": "wrong"})
            assert answer.status_code == 200
        work.append([query["sql"].split()[0] for query in queries.captured_queries])
    assert work[0] == work[1]


def test_many_senders_together_do_not_fill_a_mailbox(actor: Any) -> None:
    member_email = email_of(actor("user"))
    for number in range(12):
        email = member_email.upper() if number % 2 else member_email
        Client().post("/accounts/password/reset/", {"email": email}, REMOTE_ADDR=f"192.0.2.{number + 1}")
    deliver_password_links()
    assert len(mail.outbox) == 3


def test_a_link_for_an_unknown_address_gets_the_same_response_by_the_same_work(actor: Any) -> None:
    member_email = email_of(actor("user"))
    work = []
    for email in ("first@example.test", "nobody@example.test", member_email):
        with CaptureQueriesContext(connection) as queries:
            answer = Client().post("/accounts/password/reset/", {"email": email})
        assert (answer.status_code, answer.headers["Location"]) == (302, "/accounts/password/reset/done/")
        work.append([query["sql"].split()[0] for query in queries.captured_queries])
        assert mail.outbox == [], "A mail server that is slow would tell."
    assert work[1] == work[2], "The first one began to count the requests of this address."
    deliver_password_links()
    assert [message.to for message in mail.outbox] == [[member_email]]
