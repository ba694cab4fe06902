"""Mail in the recipient's language with one link and an unsubscribe link, retried but never sent twice."""

import asyncio
import os
import re
import signal
import threading
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.core.mail import EmailMessage
from django.db.models import F
from django.test import Client
from django.utils import timezone

from koppel.kit.tenancy import organisation_scope
from koppel.notifications.email import delivery
from koppel.notifications.email.smtp import SmtpSession
from koppel.notifications.events.dispatch import next_digest
from koppel.notifications.models import DeliverySettings, EmailDelivery, Notification, Preference
from koppel.notifications.tasks import run_maintenance
from koppel.organisations.models import User
from koppel.organisations.roles import Actor
from tests.fixtures.stack import PATIENCE_SECONDS, run_worker, wait_until
from tests.notifications.factories import (
    NEWS,
    TROUBLE,
    close_test_event,
    mails,
    open_test_event,
    screen_messages,
    set_preferences,
)
from tests.notifications.smtp import MailServer, serve

PATIENT = "from django.conf import settings; settings.EMAIL_TIMEOUT = 600"
"""A worker that never gives a mail server up, however long this process takes to kill it."""


@pytest.fixture
def anna(actor: Any) -> Actor:
    return actor("administrator", name="Anna")  # type: ignore[no-any-return]


@pytest.fixture
def post(settings: Any) -> Iterator[MailServer]:
    """A mail server, as the settings of this process name it."""
    mail = MailServer()
    stop = serve(mail)
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", mail.port
    yield mail
    stop()


def open_news_event(actor: Actor, key: str = "one", name: str = "Bakkerij De Haan") -> None:
    open_test_event(actor, NEWS, key, context={"name": name})


def send(actor: Actor) -> int:
    return asyncio.run(delivery.send_due(actor.organisation_id))


def make_due(actor: Actor) -> None:
    """As if the pauses were over."""
    with organisation_scope(actor.organisation_id):
        past = timezone.now() - timedelta(hours=1)
        EmailDelivery.objects.filter(leased_until__isnull=False).update(leased_until=past)
        EmailDelivery.objects.filter(state="waiting").update(due_at=past)


def links(text: str) -> list[str]:
    return re.findall(r"http://\S+", text)


def test_a_mail_is_plain_and_html_with_one_link_and_an_unsubscribe_link(
    anna: Actor, mailoutbox: list[EmailMessage], client: Client
) -> None:
    open_news_event(anna)
    assert send(anna) == 1
    (mail,) = mailoutbox
    with organisation_scope(anna.organisation_id):
        notice = Notification.objects.get()
    assert mail.subject == "News of Bakkerij De Haan"
    assert mail.to == ["administrator-1@example.test"]
    assert links(str(mail.body)) == [
        f"http://localhost:8400/notifications/{notice.pk}/",
        "http://localhost:8400/notifications/preferences/",
    ]
    html = mail.alternatives[0][0]  # type: ignore[attr-defined]
    assert "News of Bakkerij De Haan" in html
    assert f'href="http://localhost:8400/notifications/{notice.pk}/"' in html
    assert mail.extra_headers["Auto-Submitted"] == "auto-generated"
    client.force_login(User.objects.get(pk=anna.user_id))
    assert client.get(f"/notifications/{notice.pk}/").headers["Location"] == "/issues/"
    with organisation_scope(anna.organisation_id):
        notice.refresh_from_db()
        assert notice.read_at


def test_a_mail_speaks_the_receivers_language(anna: Actor, mailoutbox: list[EmailMessage]) -> None:
    User.objects.filter(pk=anna.user_id).update(language="nl")
    open_test_event(
        anna,
        "issue_raised",
        context={"name": "Anna & Co", "issue": {"code": "sync_failed", "facts": {"reason": "x"}}},
    )
    send(anna)
    (mail,) = mailoutbox
    assert mail.subject.startswith("Anna & Co vraagt uw aandacht")
    assert "Reden van deze melding: u bent de verantwoordelijke." in mail.body
    html = mail.alternatives[0][0]  # type: ignore[attr-defined]
    assert "Anna &amp; Co" in html
    assert '<html lang="nl"' in html


def test_unsubscribing_needs_one_click_and_no_sign_in(anna: Actor, mailoutbox: list[EmailMessage]) -> None:
    open_news_event(anna)
    send(anna)
    way_out = (
        mailoutbox[0].extra_headers["List-Unsubscribe"].strip("<>").removeprefix("http://localhost:8400")
    )
    assert mailoutbox[0].extra_headers["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    stranger = Client(enforce_csrf_checks=True)
    assert "Stop these e-mails" in stranger.get(way_out).content.decode()
    with organisation_scope(anna.organisation_id):
        assert not Preference.objects.exists()
    assert stranger.post(way_out, {"List-Unsubscribe": "One-Click"}).status_code == 200
    assert stranger.post(way_out[:-3] + "abc").status_code == 404
    open_news_event(anna, "two")
    assert send(anna) == 0
    assert len(screen_messages(anna)) == 2


def test_a_digest_is_one_mail_in_the_morning(anna: Actor, mailoutbox: list[EmailMessage]) -> None:
    with organisation_scope(anna.organisation_id):
        DeliverySettings.objects.create(
            organisation_id=anna.organisation_id, membership_id=anna.membership_id, digest=True
        )
    for number in range(3):
        open_news_event(anna, f"import {number}", f"Company {number}")
    with organisation_scope(anna.organisation_id):
        due = {timezone.localtime(one).hour for one in EmailDelivery.objects.values_list("due_at", flat=True)}
        EmailDelivery.objects.update(due_at=F("due_at") + timedelta(hours=1))  # it may be seven just now
    assert due == {7}
    assert send(anna) == 0
    make_due(anna)
    assert send(anna) == 1
    assert mailoutbox[0].subject == "3 notifications from Koppel"
    assert all(f"News of Company {number}" in mailoutbox[0].body for number in range(3))
    assert mails(anna) == ["sent"] * 3


def test_the_next_digest_is_this_mornings_or_tomorrows() -> None:
    noon = timezone.localtime().replace(hour=12)
    assert next_digest(noon) - noon == timedelta(hours=19) - timedelta(
        minutes=noon.minute, seconds=noon.second, microseconds=noon.microsecond
    )
    assert next_digest(noon.replace(hour=6)).date() == noon.date()


@pytest.mark.parametrize("command", ["MAIL", "RCPT", "DATA", "END"])
def test_a_temporary_failure_of_the_server_is_retried(anna: Actor, post: MailServer, command: str) -> None:
    post.answers[command] = ["451 try again later"]
    open_news_event(anna)
    assert send(anna) == 0
    assert mails(anna) == ["waiting"]
    make_due(anna)
    assert send(anna) == 1
    assert (len(post.accepted), mails(anna)) == (1, ["sent"])


@pytest.mark.parametrize("command", ["MAIL", "RCPT", "DATA"])
def test_a_disconnect_before_the_message_is_retried(anna: Actor, post: MailServer, command: str) -> None:
    post.answers[command] = [None]
    open_news_event(anna)
    send(anna)
    if command == "DATA":  # nobody can say: the text was offered
        assert mails(anna) == ["uncertain"]
        return
    make_due(anna)
    send(anna)
    assert (len(post.accepted), mails(anna)) == (1, ["sent"])


def test_a_disconnect_after_the_message_is_not_retried(anna: Actor, post: MailServer) -> None:
    post.answers["END"] = [None]
    open_news_event(anna)
    send(anna)
    make_due(anna)
    asyncio.run(run_maintenance(timestamp=0))
    send(anna)
    assert (len(post.accepted), mails(anna)) == (1, ["uncertain"])


def test_a_refused_receiver_is_not_tried_for_ever_and_the_next_mail_goes_out(
    anna: Actor, post: MailServer
) -> None:
    post.answers["RCPT"] = ["550 no such person"]
    open_news_event(anna)
    open_news_event(anna, "two")
    assert send(anna) == 1
    assert mails(anna) == ["failed", "sent"]


def test_a_server_that_is_down_delays_all_and_loses_none(anna: Actor, settings: Any, free_port: int) -> None:
    down = MailServer(free_port)
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", down.port
    open_news_event(anna)
    open_news_event(anna, "two")
    assert send(anna) == 0
    assert mails(anna) == ["waiting", "waiting"]
    stop = serve(down)
    make_due(anna)
    assert send(anna) == 2
    stop()


def test_a_problem_resolved_before_sending_is_not_mailed(anna: Actor, mailoutbox: list[EmailMessage]) -> None:
    open_test_event(anna, "test_worse", context={"account": "x"})
    close_test_event(anna, "test_worse")
    assert send(anna) == 0
    assert mailoutbox == []


def test_a_person_who_left_meanwhile_gets_no_mail(anna: Actor, mailoutbox: list[EmailMessage]) -> None:
    open_news_event(anna)
    User.objects.filter(pk=anna.user_id).update(is_active=False)
    assert send(anna) == 0
    assert mails(anna) == ["dropped"]


def test_a_killed_worker_neither_loses_a_mail_nor_sends_it_twice(
    anna: Actor, database_addresses: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed while the server thinks about the text; and killed before it had agreed to the receiver."""
    mail = MailServer(holds=threading.Event())
    stop = serve(mail)
    monkeypatch.setenv("KOPPEL_SMTP_URL", f"smtp://127.0.0.1:{mail.port}")
    monkeypatch.setenv("KOPPEL_MAIL_DIR", "")
    open_news_event(anna, "one", "Given")
    with run_worker(database_addresses.superuser_url, first=PATIENT) as worker:
        assert mail.received.wait(PATIENCE_SECONDS)
        os.kill(worker.pid, signal.SIGKILL)
        worker.wait()
    open_news_event(anna, "two", "Not given")
    assert mail.holds is not None
    mail.holds.set()
    assert mails(anna) == ["sending", "waiting"]
    with organisation_scope(anna.organisation_id):  # the second was claimed when its process died
        EmailDelivery.objects.filter(state="waiting").update(
            state="claimed", leased_until=timezone.now() + timedelta(minutes=2)
        )
    make_due(anna)
    asyncio.run(run_maintenance(timestamp=0))
    with run_worker(database_addresses.superuser_url):
        wait_until(lambda: mails(anna) == ["uncertain", "sent"])
    stop()
    assert len(mail.accepted) == len({one["Message-ID"] for one in mail.accepted}) == 2


def test_two_workers_send_each_mail_once(anna: Actor, post: MailServer) -> None:
    for number in range(20):
        open_news_event(anna, str(number), f"Company {number}")
    threads = [threading.Thread(target=_send_in_thread, args=(anna,)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    subjects = [str(mail["Subject"]) for mail in post.accepted]
    assert sorted(subjects) == sorted(set(subjects))
    assert len(subjects) == 20


def _send_in_thread(actor: Actor) -> None:
    from django.db import connections

    try:
        send(actor)
    finally:
        connections.close_all()


def test_silenced_events_are_not_mailed_and_unknown_ones_say_so(
    anna: Actor, mailoutbox: list[EmailMessage]
) -> None:
    set_preferences(anna, TROUBLE, mail="none")
    open_test_event(anna, "never_registered")
    send(anna)
    assert mailoutbox[0].subject == "New event (never_registered)."


def test_a_mail_whose_trouble_ends_while_the_server_does_not_take_it_is_not_mailed_later(
    anna: Actor, post: MailServer, monkeypatch: Any
) -> None:
    open_test_event(anna, "test_worse", context={"account": "x"})
    post.answers["RCPT"] = ["451 later"]
    original_build_email = delivery.build_email

    def it_ends(*args: Any, **kwargs: Any) -> Any:
        close_test_event(anna, "test_worse")
        return original_build_email(*args, **kwargs)

    monkeypatch.setattr(delivery, "build_email", it_ends)
    send(anna)
    assert mails(anna) == ["waiting"]
    make_due(anna)
    send(anna)
    assert mails(anna) == ["dropped"]
    assert post.accepted == []


def test_what_is_left_of_a_digest_is_sent_when_a_part_of_it_went_meanwhile(
    anna: Actor, post: MailServer, monkeypatch: Any
) -> None:
    with organisation_scope(anna.organisation_id):
        DeliverySettings.objects.create(
            organisation_id=anna.organisation_id, membership_id=anna.membership_id, digest=True
        )
    for number in range(2):
        open_news_event(anna, f"import {number}", f"Company {number}")
    original_build_email = delivery.build_email

    def one_goes(*args: Any, **kwargs: Any) -> Any:
        monkeypatch.setattr(delivery, "build_email", original_build_email)
        with organisation_scope(anna.organisation_id):
            EmailDelivery.objects.filter(notification__context__name="Company 0").delete()
        return original_build_email(*args, **kwargs)

    with organisation_scope(anna.organisation_id):
        EmailDelivery.objects.update(due_at=timezone.now() - timedelta(hours=1))
    monkeypatch.setattr(delivery, "build_email", one_goes)
    send(anna)
    send(anna)
    (mail,) = post.accepted
    assert mail["Subject"] == "1 notification from Koppel"
    assert mails(anna) == ["sent"]


@pytest.mark.parametrize("awakes", ["250 ok", "451 later"])
def test_a_worker_that_was_taken_over_does_not_change_the_outcome(
    anna: Actor, post: MailServer, monkeypatch: Any, awakes: str
) -> None:
    """One worker slept before it could reach the server; the other took over, and the server wanted no such
    mail.
    """
    open_news_event(anna)
    original_connection = SmtpSession._open_connection

    def sleeps(*args: Any) -> Any:
        monkeypatch.setattr(SmtpSession, "_open_connection", original_connection)
        make_due(anna)
        send(anna)
        assert mails(anna) == ["failed"]
        return original_connection(*args)

    monkeypatch.setattr(SmtpSession, "_open_connection", sleeps)
    post.answers["RCPT"] = ["250 ok", awakes]
    post.answers["END"] = ["554 no"]
    send(anna)
    assert mails(anna) == ["failed"], "what the other found out stands"
    assert post.accepted == []


def test_a_mail_that_cannot_be_written_does_not_stand_before_the_others(
    anna: Actor, post: MailServer, monkeypatch: Any
) -> None:
    open_news_event(anna)
    open_news_event(anna, "two", "Garage")
    original_build_email = delivery.build_email

    def breaks(membership: Any, notices: Any, *others: Any, **more: Any) -> Any:
        if "Bakkerij" in notices[0].context["name"]:
            raise ValueError("made up")
        return original_build_email(membership, notices, *others, **more)

    monkeypatch.setattr(delivery, "build_email", breaks)
    assert send(anna) == 1
    assert mails(anna) == ["waiting", "sent"]


def test_an_address_with_letters_beyond_ascii_is_written_in_its_ascii_form(
    anna: Actor, post: MailServer
) -> None:
    User.objects.filter(pk=anna.user_id).update(email="anna@bäckerei.example")
    open_news_event(anna)
    assert send(anna) == 1
    assert post.accepted[0]["To"] == "anna@xn--bckerei-5wa.example"
