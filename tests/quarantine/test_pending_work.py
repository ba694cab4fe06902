"""Work in progress when a quarantine begins, and work that waits for its end.

Nothing is lost, and nothing counts as a failure.
"""

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from django.core.mail import EmailMessage
from django.utils import timezone
from procrastinate.contrib.django.models import ProcrastinateJob

from koppel.administrations.models import Administration
from koppel.company_registers.clients.protocol import LookupOutcome, QueryKind, RegisterQuery
from koppel.company_registers.lookups import cached_results, request_lookups
from koppel.connections.sessions.runtime import as_worker
from koppel.connections.tasks import revoke_grants
from koppel.connections.vault import token_refresh
from koppel.issues.models import Issue
from koppel.kit.database.threads import run_in_thread
from koppel.kit.http.client import HttpClient
from koppel.kit.jobs import outbox
from koppel.kit.jobs.outbox import deliver_due
from koppel.kit.quarantine import Quarantined
from koppel.kit.tenancy import organisation_scope
from koppel.notifications.email import delivery
from koppel.notifications.models import EmailDelivery, WebhookDelivery, WebhookEndpoint
from koppel.notifications.tasks import run_maintenance
from koppel.notifications.webhooks import delivery as webhook_delivery
from koppel.notifications.webhooks import endpoints
from koppel.notifications.webhooks.inputs import WebhookInput
from koppel.notifications.webhooks.outbox import WEBHOOK_OUTBOX
from koppel.organisations.models import Invitation
from koppel.organisations.roles import Actor
from koppel.sync.models import Run
from koppel.sync.runs.services import request_due_runs
from tests.books.factories import administration_of
from tests.company_registers.factories import run_lookup_worker
from tests.connections.factories import import_first, reload_connection
from tests.fixtures.stack import MakeConnected, Sandbox, register_app, wait_until
from tests.notifications.factories import NEWS, open_test_event, screen_messages
from tests.notifications.receiver import Receiver, run_receiver
from tests.quarantine.switch import Programs, koppel_quarantine
from tests.sync.factories import import_company
from tests.sync.test_workers import are_all_active, block_second_page, runs_of
from tests.vault.factories import GrantedAccess, connection_of, create_grants
from tests.vault.test_vault import run_in_runtime, token_calls, token_of


@pytest.fixture
def anna(actor: Any) -> Actor:
    return actor("administrator", name="Anna")  # type: ignore[no-any-return]


@pytest.fixture
def program(settings: Any) -> Iterator[Receiver]:
    settings.WEBHOOK_NETWORKS = (ip_network("127.0.0.0/8"),)
    with run_receiver() as receiver:
        yield receiver


@pytest.fixture
def granted_access(clean_database: None, sandbox: Sandbox, actor: Any) -> GrantedAccess:
    """One consent whose access token has ended; nothing was asked yet."""
    granted_access = create_grants(sandbox, connection_of(actor(), register_app(sandbox)))[0]
    sandbox.forget_calls()
    return granted_access


@pytest.fixture
def registers(sandbox: Sandbox, settings: Any) -> Sandbox:
    """The sandbox's registers, as the settings of this process name them."""
    sandbox.control("registers", {"reset": True})
    settings.REGISTER_URLS = {name: f"{sandbox.url}/registers/{name}" for name in settings.REGISTER_URLS}
    settings.REGISTERS = list(settings.REGISTER_URLS)
    return sandbox


def test_a_sync_under_way_goes_back_to_the_queue_and_on_after_the_end(
    connected: MakeConnected, tmp_path: Path
) -> None:
    anna = connected()
    block_second_page(anna, import_first(anna, 3, sync=True))
    with Programs(tmp_path, "worker") as programs:
        wait_until(lambda: anna.sandbox.holds(3))
        koppel_quarantine("on")
        wait_until(lambda: "quarantine_on" in programs.said("worker"))
        anna.sandbox.release()
        wait_until(lambda: [run.state for run in runs_of(anna)] == ["queued"] * 3)
        assert {(run.reason_code, run.failures) for run in runs_of(anna)} == {("quarantined", 0)}
        assert reload_connection(anna).state == "active"
        with organisation_scope(anna.actor.organisation_id):
            assert not Issue.objects.exists()
        assert programs.said("worker").count("quarantine_on") == 1
        koppel_quarantine("off")
        wait_until(lambda: are_all_active(anna))
        assert "quarantine_off" in programs.said("worker")


def test_a_run_during_the_quarantine_makes_no_calls_and_counts_no_failure(connected: MakeConnected) -> None:
    synced = import_company(connected())
    koppel_quarantine("on")
    synced.sandbox.forget_calls()
    with organisation_scope(synced.actor.organisation_id):
        Run.objects.create(
            organisation_id=synced.actor.organisation_id,
            administration_id=synced.administration_id,
            trigger="import",
        )
        run_id = Run.objects.get().pk
    run = synced.perform(run_id)
    assert (run.state, run.failures, run.reason_code) == ("queued", 0, "quarantined")
    assert synced.sandbox.calls() == []
    koppel_quarantine("off")
    assert synced.perform(run_id).state == "succeeded"


def test_a_renewal_that_was_sent_is_stored_and_no_other_is_begun(
    granted_access: GrantedAccess, sandbox: Sandbox
) -> None:
    before = granted_access.row().generation
    sandbox.hold("/connect/token")

    async def renew(runtime: Any) -> None:
        renewal = asyncio.create_task(
            runtime.vault.get_access_token(granted_access.organisation_id, granted_access.grant_id)
        )
        await asyncio.to_thread(wait_until, sandbox.holds)
        await run_in_thread(lambda: koppel_quarantine("on"))
        await asyncio.to_thread(sandbox.release)
        await renewal

    run_in_runtime(renew)
    assert (granted_access.row().generation, granted_access.row().refresh_started_at) == (before + 1, None)
    granted_access.change(expires_at=timezone.now())
    with pytest.raises(Quarantined):
        token_of(granted_access)
    assert token_calls(sandbox) == 1


def test_a_skipped_renewal_does_not_change_the_grant(granted_access: GrantedAccess, sandbox: Sandbox) -> None:
    koppel_quarantine("on")
    for _attempt in range(2):
        with pytest.raises(Quarantined):
            token_of(granted_access)
    row = granted_access.row()
    assert (row.failures, row.refresh_started_at, row.invalid_since, row.connection.state) == (
        0,
        None,
        None,
        "active",
    )
    assert token_calls(sandbox) == 0
    koppel_quarantine("off")
    token_of(granted_access)
    assert token_calls(sandbox) == 1


def test_a_quarantine_between_intent_and_call_takes_the_intent_back(
    granted_access: GrantedAccess, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def not_yet() -> None:
        await run_in_thread(lambda: koppel_quarantine("on"))

    only_here = type("Quarantine", (), {"refuse_async": staticmethod(not_yet)})
    monkeypatch.setattr(token_refresh, "quarantine", only_here)
    with pytest.raises(Quarantined):
        token_of(granted_access)
    row = granted_access.row()
    assert (row.failures, row.refresh_started_at, row.refresh_error) == (0, None, "")
    assert token_calls(sandbox) == 0


def test_only_mail_and_messages_created_during_the_quarantine_are_sent(
    anna: Actor, program: Receiver, mailoutbox: list[EmailMessage]
) -> None:
    with organisation_scope(anna.organisation_id):
        endpoints.create_webhook(anna, WebhookInput(name="Tickets", url=program.url, events=[NEWS]))
    open_test_event(anna, NEWS, "before", context={"name": "before"})
    koppel_quarantine("on")
    open_test_event(anna, NEWS, "meanwhile", context={"name": "meanwhile"})
    assert send_all(anna) == (0, 0)
    asyncio.run(run_maintenance(0))
    assert (mailoutbox, program.got) == ([], [])
    assert states(anna) == ([("waiting", 0)] * 2, [("waiting", 0)] * 2)
    assert screen_messages(anna) == ["News of before", "News of meanwhile"]
    assert koppel_quarantine("status")["emails_from_before"] == 1
    ended = koppel_quarantine("off")
    assert (ended["emails_not_sent"], ended["webhook_messages_not_sent"]) == (1, 1)
    assert send_all(anna) == (1, 1)
    assert [one.subject for one in mailoutbox] == ["News of meanwhile"]
    assert [one["message"]["en"] for one in program.messages()] == ["News of meanwhile"]


def test_the_operator_may_have_what_waited_sent(anna: Actor, mailoutbox: list[EmailMessage]) -> None:
    open_test_event(anna, NEWS, "before", context={"name": "before"})
    koppel_quarantine("on")
    assert koppel_quarantine("off", "--send-pending")["emails_not_sent"] == 0
    assert send_all(anna) == (1, 0)
    assert [one.subject for one in mailoutbox] == ["News of before"]


def test_a_quarantine_that_begins_while_they_are_sent_stops_them(
    anna: Actor, program: Receiver, monkeypatch: pytest.MonkeyPatch, mailoutbox: list[EmailMessage]
) -> None:
    with organisation_scope(anna.organisation_id):
        endpoints.create_webhook(anna, WebhookInput(name="Tickets", url=program.url, events=[NEWS]))
    open_test_event(anna, NEWS, context={"name": "x"})

    async def never() -> None:
        """The state when the jobs were taken from the queue."""

    koppel_quarantine("on")
    monkeypatch.setattr(outbox, "quarantine", type("Quarantine", (), {"current_async": staticmethod(never)}))
    assert send_all(anna) == (0, 0)
    assert states(anna) == ([("waiting", 0)], [("waiting", 0)])
    assert (mailoutbox, program.got) == ([], [])


def send_all(anna: Actor) -> tuple[int, int]:
    """How many mails and how many messages were sent."""
    with organisation_scope(anna.organisation_id):
        webhook_ids = list(WebhookEndpoint.objects.values_list("pk", flat=True))
    sent = asyncio.run(delivery.send_due(anna.organisation_id))
    return sent, sum(
        asyncio.run(
            deliver_due(
                WEBHOOK_OUTBOX,
                {"organisation_id": anna.organisation_id, "webhook_id": webhook_id},
                webhook_delivery.deliver,
            )
        )
        for webhook_id in webhook_ids
    )


def states(anna: Actor) -> tuple[list[Any], list[Any]]:
    """State and attempts of mails and of messages."""
    with organisation_scope(anna.organisation_id):
        return tuple(
            list(model._default_manager.order_by("pk").values_list("state", "attempts"))
            for model in (EmailDelivery, WebhookDelivery)
        )  # type: ignore[return-value]


def test_a_look_up_stays_due_and_is_asked_after_the_end(anna: Actor, registers: Sandbox) -> None:
    question = RegisterQuery(country="NO", kind=QueryKind.NUMBER, value="923609016")
    with organisation_scope(anna.organisation_id):
        request_lookups(anna.organisation_id, [question])
    koppel_quarantine("on")
    run_lookup_worker(anna)
    with organisation_scope(anna.organisation_id):
        finding = cached_results(anna.organisation_id, [question])[question]
    assert (finding.outcome, finding.is_waiting) == (None, True)
    koppel_quarantine("off")
    run_lookup_worker(anna)
    with organisation_scope(anna.organisation_id):
        assert cached_results(anna.organisation_id, [question])[question].outcome in set(LookupOutcome)


def test_nothing_is_scheduled_and_what_was_missed_is_caught_up(anna: Actor) -> None:
    administration = administration_of(
        anna, activated_at=timezone.now() - timedelta(days=30), settings={"schedule": "hourly_2"}
    )
    koppel_quarantine("on")
    assert request_due_runs() == 0
    koppel_quarantine("off")
    assert request_due_runs() == 1
    with organisation_scope(anna.organisation_id):
        assert Run.objects.get().administration_id == administration.pk
        assert Administration.objects.get().pk == administration.pk


def test_a_consent_is_given_back_after_the_end(granted_access: GrantedAccess, sandbox: Sandbox) -> None:
    granted_access.change(invalid_since=timezone.now())

    async def withdraw() -> None:
        async with HttpClient() as http, as_worker(http, size=2):
            await revoke_grants(
                organisation_id=granted_access.organisation_id, grant_ids=[granted_access.grant_id]
            )

    koppel_quarantine("on")
    asyncio.run(withdraw())
    assert sandbox.calls() == []
    job = ProcrastinateJob.objects.get(task_name="connections.revoke_grants")
    assert (job.status, job.attempts, job.args["grant_ids"]) == ("todo", 0, [granted_access.grant_id])
    assert job.scheduled_at is not None
    koppel_quarantine("off")
    asyncio.run(withdraw())
    assert sandbox.calls("revocation")


def test_an_invitation_made_meanwhile_is_not_marked_as_failed(anna: Actor) -> None:
    from koppel.organisations.invitations import services as invitations
    from koppel.organisations.invitations.inputs import InvitationInput
    from koppel.organisations.tasks import send_invitation

    koppel_quarantine("on")
    with organisation_scope(anna.organisation_id):
        invitation = invitations.invite(
            anna, InvitationInput(email="ben@example.test", name="Ben", role=anna.role)
        )
    context = type("Context", (), {"job": type("Job", (), {"attempts": 0})})
    send_invitation.func(context, organisation_id=anna.organisation_id, invitation_id=invitation.pk, sends=1)
    waiting = ProcrastinateJob.objects.filter(
        task_name="organisations.send_invitation", scheduled_at__isnull=False
    )
    assert waiting.count() == 1
    with organisation_scope(anna.organisation_id):
        assert not Invitation.objects.get().mail_failed
