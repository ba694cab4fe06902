"""The first organisation is created from the command line, and its Administrator opens a link.

People who receive no mail get a link from the command line.
"""

import io
import json
import re
from contextlib import redirect_stdout
from typing import Any
from urllib.parse import urlsplit

import pytest
import typer
from allauth.mfa.models import Authenticator
from django.core import mail
from django.test import Client
from pydantic import ValidationError as InputError

from koppel.audit.models import ActorKind, AuditEntry, Interface
from koppel.cli.checks.installation import run_checks
from koppel.cli.checks.result import CheckFinding
from koppel.kit.errors import KoppelError
from koppel.kit.tenancy import organisation_scope
from koppel.organisations.commands import organisations, people
from koppel.organisations.models import Membership, User
from koppel.organisations.roles import Actor
from tests.fixtures.people import PASSWORD, deliver_password_links, signed_in
from tests.organisations.test_invitations import CHOSEN, deliver

MAKE = ("create", "--name", "Kantoor Noord", "--email", "anna@noord.example")
SIGN_IN = "/accounts/login/"


def run_command(app: typer.Typer, *words: object) -> str:
    """What is printed."""
    with redirect_stdout(io.StringIO()) as printed:
        typer.main.get_command(app).main(args=[*map(str, words)], prog_name="koppel", standalone_mode=False)
    return printed.getvalue()


def run_json_command(app: typer.Typer, *words: object) -> Any:
    return json.loads(run_command(app, *words, "--json").splitlines()[-1])


def path_of(link: str) -> str:
    return urlsplit(link).path


def accept_invitation(link: str, name: str = "Anna") -> Client:
    """In a browser of their own."""
    client = Client()
    assert client.post(path_of(link), {"name": name, "password": CHOSEN}).status_code == 302
    return client


def signs_in(email: str, password: str) -> bool:
    return bool(Client().post(SIGN_IN, {"login": email, "password": password}).status_code == 302)


def finding(topic: str) -> CheckFinding:
    return next(one for one in run_checks(8499) if one.topic == topic)


def test_from_an_empty_installation_to_the_first_administrator(clean_database: None) -> None:
    page = Client().get(SIGN_IN).content.decode()
    assert "koppel organisations create" in page
    assert 'type="password"' not in page
    assert "koppel organisations create" in finding("organisations").text
    link = run_json_command(organisations.app, *MAKE, "--language", "nl")["link"]
    waiting = Client().get(SIGN_IN, headers={"Accept-Language": "nl"}).content.decode()
    assert "koppel people recovery-link" in waiting
    assert "heeft nog geen wachtwoord gekozen" in waiting
    assert not finding("organisations").is_ok
    client = accept_invitation(link)
    assert "Kantoor Noord" in client.get("/").content.decode()
    assert 'type="password"' in Client().get(SIGN_IN).content.decode()
    assert finding("organisations").text == "Organisations: 1, with 1 people who may sign in."
    assert User.objects.get().language == "nl"
    assert Client().get(path_of(link)).status_code == 410, "A link works once."
    (row,) = run_json_command(organisations.app, "list")
    assert (row["name"], row["people"], row["administrators"], row["invited"]) == (
        "Kantoor Noord",
        1,
        ["anna@noord.example"],
        [],
    )


def test_the_audit_log_names_the_operating_system_account(clean_database: None) -> None:
    result = run_json_command(organisations.app, *MAKE)
    page = accept_invitation(result["link"]).get("/organisation/activity/").content.decode()
    assert "created the organisation" in page
    with organisation_scope(result["organisation"]):
        entry = AuditEntry.objects.get(action="organisation.created")
    assert (entry.actor_kind, entry.actor_id, entry.interface) == (ActorKind.OPERATOR, None, Interface.CLI)
    assert entry.ip_address.startswith("shell")


def test_the_mail_goes_out_as_well_in_the_language_asked_for(clean_database: None, settings: Any) -> None:
    settings.SENDS_MAIL = True
    result = run_json_command(organisations.app, *MAKE, "--language", "nl")
    (letter,) = deliver(settings)
    assert result["mailed"] is True
    # The signature holds the second in which each was made.
    assert result["link"].rsplit(":", 2)[0] in letter.body
    assert "U bent uitgenodigd om in Koppel te werken voor Kantoor Noord. Uw rol: Beheerder." in letter.body


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--name", " ", "--email", "a@b.example"), "Enter a name."),
        (("--name", "Zuid", "--email", "nobody"), "is not an e-mail address"),
        (("--name", "kantoor NOORD", "--email", "a@b.example"), "already exists"),
    ],
)
def test_what_cannot_be_made_leaves_nothing_behind(
    clean_database: None, words: tuple[str, ...], sentence: str
) -> None:
    run_json_command(organisations.app, *MAKE)
    with pytest.raises((KoppelError, InputError), match=sentence):
        run_command(organisations.app, "create", *words)
    assert [one["name"] for one in run_json_command(organisations.app, "list")] == ["Kantoor Noord"]


def test_a_mistyped_address_is_replaced_and_its_link_holds_no_longer(clean_database: None) -> None:
    first = run_json_command(organisations.app, *MAKE)
    better = run_json_command(
        organisations.app, "add-administrator", first["organisation"], "--email", "hanna@noord.example"
    )
    assert Client().get(path_of(first["link"])).status_code == 410
    accept_invitation(better["link"], "Hanna")
    assert run_json_command(organisations.app, "list")[0]["administrators"] == ["hanna@noord.example"]


def test_a_member_becomes_administrator_from_the_shell(actor: Any) -> None:
    ben: Actor = actor("user", name="Ben")
    email = User.objects.get(pk=ben.user_id).email
    result = run_json_command(organisations.app, "add-administrator", ben.organisation_id, "--email", email)
    assert result["role"] == "administrator"
    with organisation_scope(ben.organisation_id):
        assert Membership.objects.get().role == "administrator"
        assert AuditEntry.objects.get(action="person.changed").actor_kind == ActorKind.OPERATOR


def test_a_locked_out_person_gets_a_link_from_the_command_line(actor: Any) -> None:
    anna: Actor = actor("administrator", name="Anna")
    email = User.objects.get(pk=anna.user_id).email
    Authenticator.objects.create(user_id=anna.user_id, type=Authenticator.Type.TOTP, data={})
    result = run_json_command(people.app, "recovery-link", email.upper(), "--reset-mfa")
    assert result["kind"] == "password"
    client = Client()
    page = client.get(path_of(result["link"]), follow=True)
    assert "Choose a new password" in page.content.decode()
    done = client.post(page.request["PATH_INFO"], {"password1": CHOSEN, "password2": CHOSEN}, follow=True)
    assert SIGN_IN in done.content.decode(), "The way on is shown."
    assert signs_in(email, CHOSEN)
    assert not signs_in(email, PASSWORD)
    second_page = Client().get(path_of(result["link"]), follow=True).content.decode()
    assert "This link no longer works" in second_page
    with organisation_scope(anna.organisation_id):
        acts = AuditEntry.objects.filter(actor_kind=ActorKind.OPERATOR).values_list("action", flat=True)
        assert set(acts) == {"person.recovery_link_created", "person.mfa_reset"}


def test_a_link_for_who_was_invited_replaces_the_older_one(clean_database: None) -> None:
    first = run_json_command(organisations.app, *MAKE)
    result = run_json_command(people.app, "recovery-link", "anna@noord.example")
    assert result["kind"] == "invitation"
    assert Client().get(path_of(first["link"])).status_code == 410
    accept_invitation(result["link"])


def test_an_unknown_address_gets_no_link(actor: Any) -> None:
    with pytest.raises(KoppelError, match=r"No active user or open invitation"):
        run_command(people.app, "recovery-link", "stranger@example.test")


def test_a_link_by_mail_leads_to_the_address_that_people_type(actor: Any, settings: Any) -> None:
    """Whatever the request for it says: it may come by way of a proxy, or from somebody who lies."""
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
    settings.PUBLIC_URL = "https://koppel.firm.example"
    email = User.objects.get(pk=actor().user_id).email
    mail.outbox = []
    Client().post("/accounts/password/reset/", {"email": email}, headers={"Host": "127.0.0.1"})
    deliver_password_links()
    assert "https://koppel.firm.example/accounts/password/reset/key/" in mail.outbox[0].body


def test_pages_that_promise_mail_say_when_none_is_sent(actor: Any, settings: Any) -> None:
    actor()
    assert "E-mail is not set up" in Client().get("/accounts/password/reset/").content.decode()
    settings.SENDS_MAIL = True
    assert "E-mail is not set up" not in Client().get("/accounts/password/reset/").content.decode()


def test_pages_of_the_demo_say_calmly_where_mail_is(actor: Any, settings: Any) -> None:
    browser = signed_in(actor())
    settings.IS_DEMO, settings.EMAIL_FILE_PATH = True, "/srv/demo/mail"
    for address in (
        "/accounts/password/reset/",
        "/accounts/password/reset/done/",
        "/notifications/preferences/",
        "/organisation/people/invite/",
    ):
        client = Client() if address.startswith("/accounts") else browser
        page = client.get(address).content.decode()
        assert ("/srv/demo/mail" in page, "E-mail is not set up" in page) == (True, False), address
    invitation = {"email": "bram@noord.example", "role": "user"}
    page = browser.post("/organisation/people/invite/", invitation, follow=True).content.decode()
    assert ("has the link" in page, "E-mail is not set up" in page) == (True, False)


def test_under_another_address_the_right_one_is_said(clean_database: None) -> None:
    answer = Client().get("/", headers={"Host": "server:8400", "Accept-Language": "nl"})
    assert answer.status_code == 400
    page = answer.content.decode()
    assert "KOPPEL_PUBLIC_URL=http://server:8400" in page
    assert "http://localhost:8400" in page
    assert "<script>alert" not in Client().get("/", headers={"Host": "x<script>alert(1)"}).content.decode()


def test_without_a_mail_server_the_link_of_an_invitation_is_handed_over(
    clean_database: None, settings: Any
) -> None:
    """By who invites, as long as nobody else's organisation is there to trust the address."""
    client = accept_invitation(run_json_command(organisations.app, *MAKE)["link"])
    page = client.post(
        "/organisation/people/invite/", {"email": "bram@noord.example", "role": "user"}, follow=True
    ).content.decode()
    assert "E-mail is not set up" in page
    link = re.search(r'value="(http://localhost:8400/invitation/[^"]+)"', page)
    assert link
    settings.SENDS_MAIL = True
    assert link[1] not in client.get("/organisation/people/").content.decode()
    settings.SENDS_MAIL = False
    run_json_command(organisations.app, "create", "--name", "Zuid", "--email", "z@zuid.example")
    assert link[1] not in client.get("/organisation/people/").content.decode()
    accept_invitation(link[1], "Bram")


def test_the_link_of_an_administrator_is_not_shown_to_a_team_leader(actor: Any) -> None:
    leader: Actor = actor("team_leader")
    run_json_command(
        organisations.app, "add-administrator", leader.organisation_id, "--email", "admin@noord.example"
    )
    page = signed_in(leader).get("/organisation/people/").content.decode()
    assert "admin@noord.example" in page
    assert "your administrator" in page
    assert "/invitation/" not in page


def test_the_page_of_an_invitation_speaks_the_language_of_the_mail(clean_database: None) -> None:
    link = path_of(run_json_command(organisations.app, *MAKE, "--language", "nl")["link"])
    client = Client(headers={"Accept-Language": "en"})
    assert "Uw rol: Beheerder." in client.get(link).content.decode()
    client.cookies["koppel_language"] = "en"
    assert "Your role: Administrator." in client.get(link).content.decode()
    client.post(link, {"name": "Anna", "password": CHOSEN})
    assert User.objects.get().language == "en"


def test_a_name_that_is_too_long_is_refused_and_not_cut(clean_database: None) -> None:
    words = ("create", "--name", "n" * 201, "--email", "anna@noord.example")
    with pytest.raises(InputError, match="name"):
        run_command(organisations.app, *words)
    with pytest.raises(InputError, match="name"):
        run_command(organisations.app, *MAKE, "--administrator-name", "n" * 201)
    assert run_json_command(organisations.app, "list") == []
