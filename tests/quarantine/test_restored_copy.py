"""A restored copy beside the original calls no one, and the original loses nothing."""

import os
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.db import connections
from django.utils import timezone
from psycopg import sql

from koppel.connections.models import Grant
from koppel.kit.database.embedded_postgres import Addresses
from koppel.kit.tenancy import organisation_scope
from koppel.notifications.webhooks import endpoints
from koppel.notifications.webhooks.inputs import WebhookInput
from koppel.organisations.invitations import services as invitations
from koppel.organisations.invitations.inputs import InvitationInput
from koppel.sync.models import Run
from koppel.sync.runs.services import request_run
from tests.connections.factories import import_first, reload_connection, wait_until_described
from tests.fixtures.stack import Connected, MakeConnected, run_worker, wait_until
from tests.notifications.factories import NEWS, open_test_event
from tests.notifications.receiver import Receiver, run_receiver
from tests.notifications.smtp import MailServer, serve
from tests.quarantine.switch import Programs

COPY = "koppel_copy"


@pytest.fixture
def mail_server() -> Iterator[MailServer]:
    server = MailServer()
    stop = serve(server)
    yield server
    stop()


@pytest.fixture
def program(monkeypatch: pytest.MonkeyPatch, settings: Any) -> Iterator[Receiver]:
    """A program of the firm's that takes webhooks."""
    monkeypatch.setenv("KOPPEL_WEBHOOK_NETWORKS", "127.0.0.0/8")
    settings.WEBHOOK_NETWORKS = (ip_network("127.0.0.0/8"),)
    with run_receiver() as receiver:
        yield receiver


@pytest.fixture
def firm(connected: MakeConnected, program: Receiver) -> Connected:
    """Two administrations that were read once; a mail, a webhook message, an invitation and a sync wait; the
    token is over.
    """
    connected_firm = connected()
    first, second = import_first(connected_firm, 2, sync=True)
    with run_worker(_superuser_url()):
        wait_until(lambda: _states(connected_firm) == ["succeeded", "succeeded"])
        wait_until_described(connected_firm)
    with organisation_scope(connected_firm.actor.organisation_id):
        endpoints.create_webhook(
            connected_firm.actor, WebhookInput(name="Tickets", url=program.url, events=[NEWS])
        )
        invitations.invite(
            connected_firm.actor,
            InvitationInput(email="ben@example.test", name="Ben", role=connected_firm.actor.role),
        )
        request_run(connected_firm.actor, first.pk)
        request_run(connected_firm.actor, second.pk)
    open_test_event(connected_firm.actor, NEWS, context={"name": "x"})
    _token_is_over(connected_firm)
    return connected_firm


@pytest.fixture
def copy(firm: Connected, database_addresses: Addresses) -> Iterator[Addresses]:
    """Restored from the original in this moment."""
    connections.close_all()
    with psycopg.connect(
        database_addresses.superuser_url.replace("/koppel", "/postgres"), autocommit=True
    ) as server:
        server.execute(
            "SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity WHERE datname = 'koppel'"
        )
        server.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(COPY)))
        server.execute(
            sql.SQL("CREATE DATABASE {} OWNER koppel_owner TEMPLATE koppel").format(sql.Identifier(COPY))
        )
        yield Addresses(
            *(
                f"{url}_copy"
                for url in (
                    database_addresses.app_url,
                    database_addresses.owner_url,
                    database_addresses.superuser_url,
                )
            )
        )
        server.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(COPY)))


def test_a_quarantined_copy_takes_nothing_from_the_original(
    firm: Connected,
    copy: Addresses,
    mail_server: MailServer,
    program: Receiver,
    free_port: int,
    tmp_path: Path,
) -> None:
    sandbox, waiting = firm.sandbox, _count_waiting(_superuser_url())
    assert all(waiting[one] for one in ("queued", "mails", "messages", "invitations"))
    sandbox.forget_calls()
    environment = _environment(copy, mail_server)
    with Programs(
        tmp_path, f"web --port {free_port} --quarantined", "worker --quarantined", environment=environment
    ) as programs:
        wait_until(lambda: _is_listening(free_port))
        wait_until(lambda: _has_seen_all_jobs(copy))
        page = urllib.request.urlopen(f"http://127.0.0.1:{free_port}/accounts/login/").read().decode()
        assert "koppel quarantine off" in page
        assert sandbox.calls() == []
        assert (mail_server.accepted, program.got) == ([], [])
        assert _count_waiting(copy.superuser_url) == waiting

        with run_worker(_superuser_url()):
            wait_until(lambda: _states(firm) == ["succeeded"] * 4)
        assert reload_connection(firm).state == "active"
        assert sandbox.control("tokens")["refusals"] == {}
        with organisation_scope(firm.actor.organisation_id):
            assert Grant.objects.get(connection=firm.connection).invalid_since is None
    assert programs.said("worker").count("quarantine_on") == 1


def test_without_quarantine_the_copy_uses_the_originals_token(
    firm: Connected, copy: Addresses, mail_server: MailServer, tmp_path: Path
) -> None:
    """What the test above would see: a copy that is let loose uses the original's token up."""
    firm.sandbox.forget_calls()
    with Programs(tmp_path, "worker", environment=_environment(copy, mail_server)):
        wait_until(lambda: firm.sandbox.calls("token"))
        wait_until(lambda: len(mail_server.accepted) >= 2)


def test_pending_work_continues_after_the_end(
    firm: Connected, copy: Addresses, mail_server: MailServer, program: Receiver, tmp_path: Path
) -> None:
    """But what the original has sent already is not sent again, and the operator reads that."""
    environment, waiting = _environment(copy, mail_server), _count_waiting(copy.superuser_url)
    with Programs(tmp_path, "worker --quarantined", environment=environment) as programs:
        wait_until(lambda: "quarantine_on" in programs.said("worker"))
        firm.sandbox.forget_calls()
        done = subprocess.run(
            [sys.executable, "-m", "koppel.cli", "quarantine", "off"],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        assert f"mails not sent: {waiting['mails']}\n" in done.stdout
        assert "webhook messages not sent: 1" in done.stdout
        wait_until(lambda: _count_waiting(copy.superuser_url)["queued"] == 0)
        wait_until(lambda: _count_waiting(copy.superuser_url)["invitations"] == 0)
    assert firm.sandbox.calls("/v")
    assert (mail_server.accepted, program.got) == ([], [])
    with psycopg.connect(copy.superuser_url) as connection:
        assert connection.execute("SELECT mail_failed FROM organisations_invitation").fetchall() == [(True,)]


def _token_is_over(connected: Connected) -> None:
    with organisation_scope(connected.actor.organisation_id):
        hour_ago = timezone.now() - timedelta(hours=1)
        Grant.objects.update(issued_at=hour_ago, expires_at=timezone.now())


def _superuser_url() -> str:
    from tests.fixtures.database import POSTGRES

    return POSTGRES.addresses.superuser_url


def _states(connected: Connected) -> list[str]:
    with organisation_scope(connected.actor.organisation_id):
        return list(Run.objects.order_by("pk").values_list("state", flat=True))


def _environment(copy: Addresses, mail_server: MailServer) -> dict[str, str]:
    mine = {
        "DATABASE_URL": copy.app_url,
        "KOPPEL_OWNER_DATABASE_URL": copy.owner_url,
        "KOPPEL_MAIL_DIR": "",
        "KOPPEL_SMTP_URL": f"smtp://127.0.0.1:{mail_server.port}",
    }
    return {**os.environ, **mine}


def _is_listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _has_seen_all_jobs(copy: Addresses) -> bool:
    """The worker of the copy has looked at each job that would send something, and the invitation's waits for
    another look.
    """
    with psycopg.connect(copy.superuser_url) as connection:
        jobs = connection.execute(
            "SELECT task_name, scheduled_at IS NOT NULL FROM procrastinate_jobs"
        ).fetchall()
    names = {name for name, _scheduled in jobs}
    sends = {"notifications.send_emails", "notifications.send_webhooks", "connections.describe_companies"}
    return ("organisations.send_invitation", True) in jobs and not names & sends


def _count_waiting(superuser_url: str) -> dict[str, int]:
    """What waits, and what the worker of the original was just about to send."""
    questions = {
        "queued": "SELECT count(*) FROM sync_run WHERE state = 'queued'",
        "mails": "SELECT count(*) FROM notifications_email_delivery WHERE state IN ('waiting', 'claimed')",
        "messages": "SELECT count(*) FROM notifications_webhook_delivery WHERE state IN ('waiting', "
        "'claimed')",
        "invitations": "SELECT count(*) FROM procrastinate_jobs "
        "WHERE task_name = 'organisations.send_invitation'",
        "failures": "SELECT coalesce(sum(failures), 0) FROM sync_run",
    }
    with psycopg.connect(superuser_url) as connection:
        rows = {
            name: connection.execute(question.encode()).fetchone() for name, question in questions.items()
        }
    return {name: int(row[0]) for name, row in rows.items() if row}
