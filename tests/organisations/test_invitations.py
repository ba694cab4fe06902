"""Invitations by mail, from sending to membership."""

import re
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core import mail
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.utils import timezone
from procrastinate.contrib.django.models import ProcrastinateJob

from koppel.audit.models import AuditEntry
from koppel.kit.tenancy import installation_scope, organisation_scope
from koppel.organisations import tasks
from koppel.organisations.errors import Refused
from koppel.organisations.groups.divisions import create_division
from koppel.organisations.groups.inputs import DivisionInput
from koppel.organisations.invitations import csv_import, throttling
from koppel.organisations.invitations import services as invitations
from koppel.organisations.invitations.inputs import InvitationInput
from koppel.organisations.models import Division, Invitation, Membership, Organisation, User
from koppel.organisations.roles import Actor, Role
from tests.fixtures.concurrency import run_concurrently
from tests.fixtures.confirmation import post_and_confirm
from tests.fixtures.people import PASSWORD, signed_in

INVITE = "/organisation/people/invite/"
MANY = "/organisation/people/invite/many/"
CHOSEN = "seven green herons walk"


def deliver(settings: Any) -> list[Any]:
    """What a worker does with the jobs that wait; the mails it sends."""
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
    mail.outbox = []
    for job in ProcrastinateJob.objects.filter(task_name="organisations.send_invitation", status="todo"):
        tasks.send_invitation(context=Attempt(0), **job.args)
    return list(mail.outbox)


class Attempt:
    """As much of a job's context as the task reads."""

    def __init__(self, attempts: int) -> None:
        self.job = self
        self.attempts = attempts


def link_in(message: Any) -> str:
    match = re.search(r"http://localhost:8400(/invitation/\S+)", message.body)
    assert match
    return match[1]


def invitation_link(admin: Actor, settings: Any, **form: Any) -> str:
    signed_in(admin).post(INVITE, {"email": "nieuw@example.test", "role": "user", **form})
    return link_in(deliver(settings)[-1])


def test_a_new_colleague_follows_the_mail_and_is_at_work(actor: Any, settings: Any) -> None:
    admin = actor("administrator", name="Anna")
    with organisation_scope(admin.organisation_id):
        south = Division.objects.create(organisation_id=admin.organisation_id, name="Zuid")
    link = invitation_link(
        admin, settings, name="Bram", role="user_plus", divisions=[south.pk], until="2099-03-31"
    )
    assert "Anna invites you" in mail.outbox[0].body
    client = Client()
    page = client.get(link).content.decode()
    assert "nieuw@example.test" in page
    assert 'value="Bram"' in page
    answer = client.post(link, {"name": "Bram Bos", "password": CHOSEN})
    assert answer.headers["Location"] == "/"
    assert client.get("/").status_code == 200
    with organisation_scope(admin.organisation_id):
        membership = Membership.objects.get(user__email="nieuw@example.test")
        assert (membership.user.name, membership.role, membership.divisions.get().division_id) == (
            "Bram Bos",
            "user_plus",
            south.pk,
        )
        assert membership.expires_at
        assert membership.expires_at.year == 2099
        assert AuditEntry.objects.get(action="person.joined").actor_name == "Bram Bos"
    assert Client().get(link).status_code == 410, "A link works once."


def test_concurrent_invitations_of_one_person_are_reported(actor: Any) -> None:
    admin = actor("administrator")
    outcome = run_concurrently(
        admin, lambda: invitations.invite(admin, InvitationInput(email="nieuw@example.test"))
    )
    assert isinstance(outcome, Refused)
    assert "is already invited" in str(outcome)
    with organisation_scope(admin.organisation_id):
        assert Invitation.objects.count() == 1


def test_concurrent_creation_of_one_division_is_reported(actor: Any) -> None:
    admin = actor("administrator")
    outcome = run_concurrently(admin, lambda: create_division(admin, DivisionInput(name="Zuid")))
    assert isinstance(outcome, Refused)
    assert "already exists" in str(outcome)


def test_a_weak_password_is_refused_with_the_reason(actor: Any, settings: Any) -> None:
    link = invitation_link(actor(), settings)
    page = Client().post(link, {"name": "Bram", "password": "short"})
    assert "at least 12 characters" in page.content.decode()
    assert not User.objects.filter(email="nieuw@example.test").exists()


def test_only_the_last_mails_link_holds_and_revoking_ends_it(actor: Any, settings: Any) -> None:
    admin = actor()
    first = invitation_link(admin, settings)
    with organisation_scope(admin.organisation_id):
        key = Invitation.objects.get().pk
    signed_in(admin).post(f"/organisation/people/invitations/{key}/resend")
    second = link_in(deliver(settings)[-1])
    assert (Client().get(first).status_code, Client().get(second).status_code) == (410, 200)
    post_and_confirm(signed_in(admin), f"/organisation/people/invitations/{key}/revoke")
    assert Client().get(second).status_code == 410


def test_a_link_lapses_and_a_forged_one_opens_nothing(actor: Any, settings: Any) -> None:
    admin = actor()
    link = invitation_link(admin, settings)
    with organisation_scope(admin.organisation_id):
        Invitation.objects.update(valid_until=timezone.now() - timedelta(seconds=1))
    assert Client().get(link).status_code == 410
    assert Client().get(link[:-3] + "xyz/").status_code == 410


def test_an_administrator_invitation_ends_with_its_sender(actor: Any, settings: Any) -> None:
    """An invitation of an Administrator ends with the access of who sent it, unless another one sends it
    again.
    """
    admin = actor()
    with organisation_scope(admin.organisation_id):
        firm = Organisation.objects.get()
    leaver = actor("administrator", organisation=firm)
    link = invitation_link(leaver, settings, role="administrator")
    assert Client().get(link).status_code == 200
    with organisation_scope(admin.organisation_id):
        Membership.objects.filter(pk=leaver.membership_id).update(role="reader")
        key = Invitation.objects.get().pk
    assert Client().get(link).status_code == 410
    assert Client().post(link, {"name": "Achterdeur", "password": CHOSEN}).status_code == 410
    signed_in(admin).post(f"/organisation/people/invitations/{key}/resend")
    assert Client().get(link_in(deliver(settings)[-1])).status_code == 200


@pytest.mark.parametrize("change", [{"role": "user"}, {"is_active": False}])
def test_an_invitation_waits_for_a_colleague_when_its_sender_may_no_longer_invite(
    actor: Any, settings: Any, change: dict[str, Any]
) -> None:
    admin = actor()
    with organisation_scope(admin.organisation_id):
        leader = actor("team_leader", organisation=Organisation.objects.get())
    link = invitation_link(leader, settings)
    with organisation_scope(admin.organisation_id):
        Membership.objects.filter(pk=leader.membership_id).update(**change)
    assert Client().post(link, {"name": "Bram", "password": CHOSEN}).status_code == 410
    assert "The sender may no longer invite" in signed_in(admin).get("/organisation/people/").content.decode()
    (listed,) = signed_in(admin).get("/api/v1/people/invitations").json()
    assert not listed["is_sender_authorized"]
    signed_in(admin).post(f"/organisation/people/invitations/{listed['id']}/resend")
    assert Client().get(link_in(deliver(settings)[-1])).status_code == 200


def test_who_has_an_account_signs_in_and_then_belongs_to_both(actor: Any, settings: Any) -> None:
    admin, elsewhere = actor(), actor("reader", name="Elke")
    email = User.objects.get(pk=elsewhere.user_id).email
    link = invitation_link(admin, settings, email=email)
    stranger = Client()
    assert "Sign in to accept" in stranger.get(link).content.decode()
    stranger.post(link, {"name": "Somebody else", "password": CHOSEN})
    assert User.objects.get(pk=elsewhere.user_id).check_password(PASSWORD), (
        "An invitation never changes a password."
    )
    other = signed_in(actor("user"))
    assert "signed in as" in other.get(link).content.decode()
    other.post(link)
    signed_in(elsewhere).post(link)
    with installation_scope("test"):
        organisation_ids = Membership.objects.filter(user_id=elsewhere.user_id).values_list(
            "organisation_id", flat=True
        )
        assert set(organisation_ids) == {admin.organisation_id, elsewhere.organisation_id}


def test_a_team_leader_invites_no_administrator(actor: Any) -> None:
    answer = signed_in(actor("team_leader")).post(
        INVITE, {"email": "x@example.test", "role": "administrator"}
    )
    assert "Only an Administrator" in answer.content.decode()
    assert (
        signed_in(actor("user_plus")).post(INVITE, {"email": "x@example.test", "role": "user"}).status_code
        == 403
    )


def test_an_organisation_may_accept_addresses_of_its_own_only(actor: Any) -> None:
    admin = actor()
    with organisation_scope(admin.organisation_id):
        Organisation.objects.update(email_domains=["kantoor.nl"])
    page = signed_in(admin).post(INVITE, {"email": "x@gmail.test", "role": "user"}).content.decode()
    assert "kantoor.nl" in page
    assert signed_in(admin).post(INVITE, {"email": "X@Kantoor.nl", "role": "user"}).status_code == 302


def test_a_rule_that_came_after_the_invitation_is_asked_when_it_is_accepted(
    actor: Any, settings: Any
) -> None:
    admin = actor(name="Anna")
    link = invitation_link(admin, settings)
    rule = {"email_domains": "kantoor.nl", "audit_years": "7"}
    signed_in(admin).post("/organisation/security/", rule)
    for answer in (Client().get(link), Client().post(link, {"name": "Bram", "password": CHOSEN})):
        assert answer.status_code == 403
        assert "accepts addresses of kantoor.nl" in answer.content.decode()
        assert "Ask Anna" in answer.content.decode()
    assert not User.objects.filter(email="nieuw@example.test").exists()
    page = signed_in(admin).get("/organisation/people/").content.decode()
    assert "nieuw@example.test" in page
    assert "no longer allowed" in page
    (listed,) = signed_in(admin).get("/api/v1/people/invitations").json()
    assert listed["is_outside_domains"]
    resent = signed_in(admin).post(f"/organisation/people/invitations/{listed['id']}/resend", follow=True)
    assert "kantoor.nl" in resent.content.decode()
    signed_in(admin).post("/organisation/security/", rule | {"email_domains": ""})
    assert Client().post(link, {"name": "Bram", "password": CHOSEN}).status_code == 302


def test_a_mail_that_does_not_arrive_is_shown(
    actor: Any, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    admin = actor()
    signed_in(admin).post(INVITE, {"email": "x@example.test", "role": "user"})

    def away(self: Any) -> None:
        raise ConnectionRefusedError

    monkeypatch.setattr("django.core.mail.EmailMessage.send", away)
    job = ProcrastinateJob.objects.get(task_name="organisations.send_invitation")
    with pytest.raises(ConnectionRefusedError):
        tasks.send_invitation(context=Attempt(0), **job.args)
    tasks.send_invitation(context=Attempt(tasks.ATTEMPTS - 1), **job.args)
    assert "could not be delivered" in signed_in(admin).get("/organisation/people/").content.decode()


def test_a_division_of_the_form_that_is_gone_is_refused_at_its_field(actor: Any) -> None:
    """The page was open while a colleague archived the division."""
    admin = actor()
    with organisation_scope(admin.organisation_id):
        gone = Division.objects.create(
            organisation_id=admin.organisation_id, name="Zuid", archived_at=timezone.now()
        )
    form = {"email": "nieuw@example.test", "role": "user", "divisions": [gone.pk]}
    assert f"no division with the number {gone.pk}" in signed_in(admin).post(INVITE, form).content.decode()
    with organisation_scope(admin.organisation_id):
        assert not Invitation.objects.exists()


LINES = """e-mail;name;role;divisions;until
a@example.test;Ada;Teamleider;Zuid;2099-01-31
b@example.test
nonsense;Bert
a@example.test;Ada again
c@example.test;Cor;Koning
d@example.test;Dirk;user;Elders
e@example.test;Els;reader;;31-01-2001
f@example.test;g@example.test
"""


def test_many_are_invited_with_a_result_per_line_after_a_look(actor: Any, settings: Any) -> None:
    admin = actor()
    with organisation_scope(admin.organisation_id):
        Division.objects.create(organisation_id=admin.organisation_id, name="Zuid")
    client = signed_in(admin)
    page = client.post(MANY, {"text": LINES}).content.decode()
    for words in (
        "2 people will be invited",
        "6 lines will be skipped",
        "is not an e-mail address",
        "an earlier line",
        "is not a role",
        "Division “Elders” not found",
        "end date in the future",
        "“g@example.test” is an address, not a name.",
    ):
        assert words in page, words
    assert deliver(settings) == []
    page = client.post(MANY, {"text": LINES, "confirmed": "1"}).content.decode()
    assert "2 people invited" in page
    assert sorted(one.to[0] for one in deliver(settings)) == ["a@example.test", "b@example.test"]
    with organisation_scope(admin.organisation_id):
        ada = Invitation.objects.get(email="a@example.test")
        assert (ada.role, len(ada.divisions)) == (Role.TEAM_LEADER, 1)
    assert "is already invited" in client.post(MANY, {"text": LINES}).content.decode()


def test_a_list_is_read_in_any_encoding_and_by_any_delimiter(actor: Any) -> None:
    """Here one that Excel saved as Unicode text, with a line that Excel writes for itself."""
    client = signed_in(actor())
    text = "sep=|\r\nE-mail|Naam|Rol\r\nm@example.test|Møller; Sønn|reader\r\n"
    upload = SimpleUploadedFile("people.txt", text.encode("utf-16"))
    page = client.post(MANY, {"file": upload}).content.decode()
    assert ("1 person will be invited" in page, "Møller; Sønn" in page) == (True, True)


@pytest.mark.parametrize("name", ["invite-utf16.csv", "invite-utf16-no-heading.csv"])
def test_a_list_of_the_cases_is_read(actor: Any, shared_reference: Path, name: str) -> None:
    content = (shared_reference / "cases" / "csv" / name).read_bytes()
    page = signed_in(actor()).post(MANY, {"file": SimpleUploadedFile("p.csv", content)}).content.decode()
    assert ("1 person will be invited" in page, "Šárka Łoś" in page, "ÿþ" in page) == (True, True, False)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Naam;Rol;E-mailadres\nBo Ek;Alleen lezen;bo@example.test", ("1 person will be invited", "Bo Ek")),
        ("Bo Ek;bo@example.test;reader\n", ("1 person will be invited", "Bo Ek")),
        ("\n\nE-MAIL:;Name;;\nbo@example.test;Bo Ek;;\n", ("1 person will be invited", "Bo Ek")),
        ("E-mail;Colour\nbo@example.test;red", ("Unknown headings: Colour.",)),
        ("Name;Role\nBo;reader", ("No column has the heading",)),
        ("bo@example.test;Bo Ek;reader;;;surplus", ("The value “surplus” is below no heading.",)),
    ],
)
def test_columns_are_known_by_their_headings_or_by_the_address(
    actor: Any, text: str, words: tuple[str, ...]
) -> None:
    page = signed_in(actor()).post(MANY, {"text": text}).content.decode()
    assert [word in page for word in words] == [True] * len(words), page


def test_a_line_that_cannot_be_read_is_named(actor: Any) -> None:
    text = 'a@example.test;Ada\nb@example.test;"Bo\n'
    assert (
        "Line 2 could not be read as a table row."
        in signed_in(actor()).post(MANY, {"text": text}).content.decode()
    )


def test_a_list_of_nothing_is_said(actor: Any) -> None:
    assert "No line contains" in signed_in(actor()).post(MANY, {"text": "\n;\n"}).content.decode()


@pytest.mark.parametrize("text", ["a@kantoor.test;A\rb@kantoor.test;B\n", 'c@kantoor.test;"' + "x" * 200_000])
def test_a_list_that_is_no_table_is_refused_with_a_sentence(actor: Any, text: str) -> None:
    answer = signed_in(actor("administrator")).post(MANY, {"text": text})
    assert answer.status_code == 200
    assert "a@kantoor.test" in answer.content.decode() or "could not be read" in answer.content.decode()


@pytest.mark.parametrize(
    "written",
    [
        "2027-03-31",
        "31-03-2027",
        "31.3.2027",
        "2027/03/31",
        "2027-03-31 00:00:00",
        "2027-03-31T00:00",
        "46477.0",
    ],
)
def test_a_last_day_is_read_as_spreadsheets_write_it(written: str) -> None:
    assert csv_import.parse_end_of_day(written).date() == date(2027, 3, 31)


@pytest.mark.parametrize("written", ["03/31/2027", "31-03-27", "31-02-2027", "123", "31 mrt", "٣١-٠٣-٢٠٢٧"])
def test_what_is_no_day_is_refused_by_name(written: str) -> None:
    with pytest.raises(Refused, match=f"“{written}” is not a date"):
        csv_import.parse_end_of_day(written)


def test_an_organisation_does_not_send_mail_without_end(actor: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    admin, rival = actor("administrator"), actor("administrator")
    monkeypatch.setattr(throttling, "HOURLY_MAX", 8)
    with organisation_scope(admin.organisation_id):
        invitation = invitations.invite(admin, InvitationInput(email="doel@example.test"))
        for _number in range(throttling.DAILY_MAX - 1):
            invitations.resend(admin, invitation.pk)
        with pytest.raises(Refused, match="Try again tomorrow"):
            invitations.resend(admin, invitation.pk)
        invitations.revoke(admin, invitation.pk)
        with pytest.raises(Refused, match="Try again tomorrow"):
            invitations.invite(admin, InvitationInput(email="Doel@example.test"))
        for number in range(3):
            invitations.invite(admin, InvitationInput(email=f"nieuw{number}@example.test"))
        with pytest.raises(Refused, match="Try again in an hour"):
            invitations.invite(admin, InvitationInput(email="nog@example.test"))
    with organisation_scope(rival.organisation_id), pytest.raises(Refused, match="Try again tomorrow"):
        invitations.invite(rival, InvitationInput(email="doel@example.test"))
