"""The outbox: rows created with their cause, leased to one worker at a time, in turns."""

import asyncio
import signal
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from ipaddress import ip_network
from typing import Any

import pytest
from django.db import connections, transaction
from django.db.utils import OperationalError
from django.utils import timezone
from procrastinate.contrib.django.models import ProcrastinateJob

from koppel.company_registers.clients.protocol import QueryKind, RegisterQuery
from koppel.company_registers.lookups import request_lookups
from koppel.company_registers.models import Lookup
from koppel.company_registers.outbox import LOOKUP_OUTBOX
from koppel.kit.database.embedded_postgres import Addresses
from koppel.kit.jobs import enqueue_once, outbox
from koppel.kit.jobs.outbox import BatchResult, Claim, Outbox, deliver_due
from koppel.kit.tenancy import organisation_scope
from koppel.notifications.email import delivery as email_delivery
from koppel.notifications.email.outbox import EMAIL_OUTBOX
from koppel.notifications.email.smtp import SmtpSession
from koppel.notifications.models import EmailDelivery, WebhookDelivery
from koppel.notifications.webhooks import delivery as webhook_delivery
from koppel.notifications.webhooks import endpoints
from koppel.notifications.webhooks.inputs import WebhookInput
from koppel.notifications.webhooks.outbox import BATCH_SIZE, WEBHOOK_OUTBOX
from koppel.organisations.roles import Actor
from tests.company_registers.factories import run_lookup_worker
from tests.fixtures.stack import Sandbox, run_worker, wait_until
from tests.notifications.factories import NEWS, mails, open_test_event
from tests.notifications.receiver import Receiver, run_receiver
from tests.notifications.smtp import MailServer, serve

KILL = "import os, signal; kill = lambda *args, **kwargs: os.kill(os.getpid(), signal.SIGKILL); "


@pytest.fixture
def anna(actor: Any) -> Actor:
    return actor("administrator", name="Anna")  # type: ignore[no-any-return]


@pytest.fixture
def program(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    settings.WEBHOOK_NETWORKS = (ip_network("127.0.0.0/8"),)
    monkeypatch.setenv("KOPPEL_WEBHOOK_NETWORKS", "127.0.0.0/8")
    with run_receiver() as receiver:
        yield receiver


@pytest.fixture
def mail_server(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[MailServer]:
    """Also as the settings of a worker name it."""
    server = MailServer()
    stop = serve(server)
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", server.port
    monkeypatch.setenv("KOPPEL_SMTP_URL", f"smtp://127.0.0.1:{server.port}")
    monkeypatch.setenv("KOPPEL_MAIL_DIR", "")
    yield server
    stop()


@pytest.fixture
def registers(sandbox: Sandbox, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    """Also as the settings of a worker name them."""
    sandbox.control("registers", {"reset": True})
    settings.REGISTER_URLS = {name: f"{sandbox.url}/registers/{name}" for name in settings.REGISTER_URLS}
    settings.REGISTERS = ["brreg"]
    monkeypatch.setenv("KOPPEL_REGISTERS", "brreg")
    monkeypatch.setenv("KOPPEL_REGISTERS_URL", f"{sandbox.url}/registers")
    yield sandbox
    sandbox.control("registers", {"reset": True})


@pytest.fixture
def webhook_id(anna: Actor, program: Receiver) -> int:
    return add_webhook(anna, program)


def add_webhook(actor: Actor, program: Receiver) -> int:
    with organisation_scope(actor.organisation_id):
        return endpoints.create_webhook(actor, WebhookInput(name="Tickets", url=program.url))[0].pk


def open_events(actor: Actor, count: int) -> None:
    for number in range(count):
        open_test_event(actor, NEWS, str(number), context={"name": str(number)})


def send_messages(actor: Actor, webhook_id: int) -> int:
    lane = {"organisation_id": actor.organisation_id, "webhook_id": webhook_id}
    return asyncio.run(deliver_due(WEBHOOK_OUTBOX, lane, webhook_delivery.deliver))


def webhook_lane(actor: Actor, webhook_id: int) -> dict[str, int]:
    return {"organisation_id": actor.organisation_id, "webhook_id": webhook_id}


def message_states(actor: Actor) -> list[str]:
    with organisation_scope(actor.organisation_id):
        return list(WebhookDelivery.objects.order_by("pk").values_list("state", flat=True))


def end_leases(actor: Actor, model: Any) -> None:
    """As if the workers' time were over."""
    with organisation_scope(actor.organisation_id):
        model.objects.update(leased_until=timezone.now() - timedelta(seconds=1))


def jobs(task_name: str) -> list[ProcrastinateJob]:
    return list(ProcrastinateJob.objects.filter(task_name=task_name, status="todo").order_by("pk"))


def run_and_kill(addresses: Addresses, first: str, begin: Callable[[], object]) -> None:
    """Start a worker that kills itself at the point that `first` names, and give it something to do."""
    with run_worker(addresses.superuser_url, first=KILL + first) as worker:
        begin()
        wait_until(lambda: worker.poll() is not None)
        assert worker.returncode == -signal.SIGKILL


def test_a_rolled_back_row_is_not_delivered(
    anna: Actor, webhook_id: int, program: Receiver, mailoutbox: Any
) -> None:
    with organisation_scope(anna.organisation_id):
        open_test_event(anna, NEWS, context={"name": "never"})
        request_lookups(
            anna.organisation_id, [RegisterQuery(country="NO", kind=QueryKind.NUMBER, value="923609016")]
        )
        transaction.set_rollback(True)
    assert (mails(anna), message_states(anna)) == ([], [])
    assert ProcrastinateJob.objects.count() == 0
    assert asyncio.run(email_delivery.send_due(anna.organisation_id)) == send_messages(anna, webhook_id) == 0
    assert (mailoutbox, program.got) == ([], [])


@pytest.mark.kill
@pytest.mark.parametrize(
    ("point", "arrivals"),
    [("_load_batch", 1), ("_store_results", 2)],
    ids=["between claim and attempt", "between attempt and commit"],
)
def test_a_message_of_a_killed_worker_is_sent_by_another(
    anna: Actor, webhook_id: int, program: Receiver, database_addresses: Addresses, point: str, arrivals: int
) -> None:
    """Under the same id, by which the receiver knows it."""
    first = f"from koppel.notifications.webhooks import delivery; delivery.{point} = kill"
    run_and_kill(database_addresses, first, lambda: open_events(anna, 1))
    assert message_states(anna) == ["claimed"]
    assert send_messages(anna, webhook_id) == 0, "it is leased"
    end_leases(anna, WebhookDelivery)
    assert send_messages(anna, webhook_id) == 1
    assert message_states(anna) == ["sent"]
    assert [message["id"] for message in program.messages()] == [program.messages()[0]["id"]] * arrivals


@pytest.mark.kill
@pytest.mark.parametrize(
    ("point", "states"),
    [
        ("delivery.build_email = kill", ("claimed", "sent")),
        (
            "delivery.Claim.settle = lambda claim, values, ids=None: ids is not None or kill()",
            ("sending", "uncertain"),
        ),
    ],
    ids=["between claim and attempt", "between attempt and commit"],
)
def test_a_mail_of_a_killed_worker_is_sent_once(
    anna: Actor, mail_server: MailServer, database_addresses: Addresses, point: str, states: tuple[str, str]
) -> None:
    """Whether the server accepted it is unknown when the worker dies behind that: then it is not sent
    again.
    """
    run_and_kill(
        database_addresses,
        f"from koppel.notifications.email import delivery; {point}",
        lambda: open_events(anna, 1),
    )
    assert mails(anna) == [states[0]]
    end_leases(anna, EmailDelivery)
    asyncio.run(email_delivery.send_due(anna.organisation_id))
    assert mails(anna) == [states[1]]
    assert len(mail_server.accepted) == 1


@pytest.mark.kill
@pytest.mark.parametrize(
    ("point", "calls"),
    [("_query_register", 1), ("store_result", 2)],
    ids=["between claim and attempt", "between attempt and commit"],
)
def test_a_look_up_of_a_killed_worker_is_made_by_another(
    anna: Actor, registers: Sandbox, database_addresses: Addresses, point: str, calls: int
) -> None:
    registers.forget_calls()

    def ask() -> None:
        with organisation_scope(anna.organisation_id):
            request_lookups(
                anna.organisation_id, [RegisterQuery(country="NO", kind=QueryKind.NUMBER, value="923609016")]
            )

    run_and_kill(database_addresses, f"from koppel.company_registers import tasks; tasks.{point} = kill", ask)
    run_lookup_worker(anna)
    with organisation_scope(anna.organisation_id):
        assert Lookup.objects.get().answered_at is None, "it is leased"
    end_leases(anna, Lookup)
    run_lookup_worker(anna)
    with organisation_scope(anna.organisation_id):
        assert Lookup.objects.get().answered_at
    assert len(registers.calls("/registers/brreg")) == calls


def test_two_workers_never_have_one_row(
    anna: Actor, webhook_id: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_events(anna, 5 * BATCH_SIZE)
    monkeypatch.setattr(outbox, "BATCHES_MAX", 100)
    claims: list[Claim] = []
    begin = threading.Barrier(8)

    def claim() -> None:
        begin.wait()
        try:
            while batch := WEBHOOK_OUTBOX.claim(webhook_lane(anna, webhook_id)):
                claims.append(batch)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=claim) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    leased = [row_id for batch in claims for row_id in batch.ids]
    assert len(leased) == len(set(leased)) == 5 * BATCH_SIZE


def test_a_worker_without_lease_stores_nothing(anna: Actor, webhook_id: int) -> None:
    open_events(anna, 1)
    slow = WEBHOOK_OUTBOX.claim(webhook_lane(anna, webhook_id))
    end_leases(anna, WebhookDelivery)
    other = WEBHOOK_OUTBOX.claim(webhook_lane(anna, webhook_id))
    assert slow is not None
    assert other is not None
    other.settle({"state": "sent"})
    slow.retry("too late")
    slow.release()
    assert not slow.extend(timedelta(minutes=1), {"state": "claimed"})
    assert message_states(anna) == ["sent"]


def test_a_receiver_that_is_slow_holds_up_two_batches_and_no_other_receiver(
    anna: Actor, program: Receiver
) -> None:
    slow, quick = add_webhook(anna, program), add_webhook(anna, program)
    open_events(anna, 4 * BATCH_SIZE)
    assert WEBHOOK_OUTBOX.claim(webhook_lane(anna, slow))
    assert WEBHOOK_OUTBOX.claim(webhook_lane(anna, slow))
    assert WEBHOOK_OUTBOX.claim(webhook_lane(anna, slow)) is None
    assert send_messages(anna, quick) == 4 * BATCH_SIZE


def test_a_worker_sends_the_messages_of_others_while_one_receiver_does_not_answer(
    anna: Actor, actor: Any, program: Receiver, database_addresses: Addresses
) -> None:
    ben = actor("administrator", name="Ben")
    program.holds = threading.Event()
    add_webhook(anna, program)
    with run_receiver() as other_program, run_worker(database_addresses.superuser_url):
        open_events(anna, 10 * BATCH_SIZE)
        assert program.received.wait(60)
        add_webhook(ben, other_program)
        open_events(ben, 3)
        wait_until(lambda: len(other_program.got) == 3)
        assert "sent" not in message_states(anna)
        program.holds.set()


def test_a_long_turn_ends_and_goes_on_behind_the_others(
    anna: Actor, actor: Any, webhook_id: int, program: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_events(anna, 3 * BATCH_SIZE)
    ProcrastinateJob.objects.all().delete()
    ben = actor("administrator", name="Ben")
    others = add_webhook(ben, program)
    open_events(ben, 1)
    monkeypatch.setattr(outbox, "TURN_SECONDS", 0.0)
    assert send_messages(anna, webhook_id) == BATCH_SIZE
    assert [job.args["webhook_id"] for job in jobs("notifications.send_webhooks")] == [others, webhook_id]


def test_a_job_comes_again_when_the_next_attempt_is_due(
    anna: Actor, webhook_id: int, program: Receiver
) -> None:
    program.answers = [(500, {})] * 2
    open_events(anna, 2)
    ProcrastinateJob.objects.all().delete()
    assert send_messages(anna, webhook_id) == send_messages(anna, webhook_id) == 0
    (job,) = jobs("notifications.send_webhooks")
    with organisation_scope(anna.organisation_id):
        assert job.scheduled_at == WebhookDelivery.objects.order_by("due_at")[0].due_at


def test_a_job_that_waits_already_is_not_enqueued_and_the_transaction_goes_on(anna: Actor) -> None:
    with transaction.atomic():
        outcomes = [
            enqueue_once(
                "notifications.send_emails", {"organisation_id": anna.organisation_id}, queueing_lock="one"
            )
            for _ in range(3)
        ]
        assert len(jobs("notifications.send_emails")) == 1
    assert outcomes == [True, False, False]


@pytest.mark.parametrize(
    "row_outbox", [EMAIL_OUTBOX, WEBHOOK_OUTBOX, LOOKUP_OUTBOX], ids=lambda one: one.task_name
)
def test_abandoned_rows_are_enqueued_again(
    row_outbox: Outbox, anna: Actor, webhook_id: int, registers: Sandbox
) -> None:
    open_events(anna, 2)
    with organisation_scope(anna.organisation_id):
        queries = [RegisterQuery(country="NO", kind=QueryKind.NUMBER, value="923609016")]
        request_lookups(anna.organisation_id, queries)
    ProcrastinateJob.objects.all().delete()
    assert [row_outbox.enqueue_due(), row_outbox.enqueue_due()] == [1, 1]
    assert len(jobs(row_outbox.task_name)) == 1


def test_a_batch_that_breaks_our_code_does_not_stand_before_the_others(anna: Actor, webhook_id: int) -> None:
    open_events(anna, 2 * BATCH_SIZE)
    batches: list[Claim] = []

    async def deliver(claim: Claim) -> BatchResult:
        batches.append(claim)
        raise ValueError("made up")

    assert asyncio.run(deliver_due(WEBHOOK_OUTBOX, webhook_lane(anna, webhook_id), deliver)) == 0
    assert [len(batch.ids) for batch in batches] == [BATCH_SIZE, BATCH_SIZE]
    with organisation_scope(anna.organisation_id):
        assert set(WebhookDelivery.objects.values_list("state", "reason", "attempts")) == {
            ("waiting", "ValueError", 1)
        }
        assert WebhookDelivery.objects.filter(due_at__gt=timezone.now()).count() == 2 * BATCH_SIZE


def test_a_mail_that_breaks_our_code_after_it_was_given_is_not_sent_again(
    anna: Actor, mail_server: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    original_send = SmtpSession.send

    def send_and_break(*args: Any) -> bool:
        original_send(*args)
        raise ValueError("made up")

    monkeypatch.setattr(SmtpSession, "send", send_and_break)
    open_events(anna, 1)
    asyncio.run(email_delivery.send_due(anna.organisation_id))
    assert mails(anna) == ["uncertain"]


def test_rows_stay_leased_during_an_outage(anna: Actor, webhook_id: int) -> None:
    open_events(anna, 1)

    async def deliver(claim: Claim) -> BatchResult:
        raise OperationalError("made up")

    with pytest.raises(OperationalError):
        asyncio.run(deliver_due(WEBHOOK_OUTBOX, webhook_lane(anna, webhook_id), deliver))
    assert message_states(anna) == ["claimed"]
