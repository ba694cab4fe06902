"""What a receiver's answer means: a 2xx is delivered whatever its body does, and `Retry-After` holds for all
messages to that webhook.
"""

import gzip
import socket
import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from ipaddress import ip_network
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from koppel.kit.http.retry_after import PAUSE_SECONDS_MAX
from koppel.kit.tenancy import organisation_scope
from koppel.notifications.models import WebhookDelivery, WebhookEndpoint
from koppel.organisations.roles import Actor
from tests.fixtures.people import signed_in
from tests.notifications.factories import NEWS, open_test_event
from tests.notifications.receiver import Receiver, run_receiver
from tests.notifications.webhook_steps import API, create_webhook, log, make_due, send

Answer = Callable[[socket.socket], None]
HEAD = b"HTTP/1.1 200 OK\r\n"


@pytest.fixture
def anna(actor: Any, settings: Any) -> Actor:
    settings.WEBHOOK_NETWORKS = (ip_network("127.0.0.0/8"),)
    return actor("administrator", name="Anna")  # type: ignore[no-any-return]


@pytest.fixture
def browser(anna: Actor) -> Client:
    return signed_in(anna)


@pytest.fixture
def program(anna: Actor) -> Iterator[Receiver]:
    with run_receiver() as receiver:
        yield receiver


@contextmanager
def raw_receiver(answer: Answer) -> Iterator[str]:
    """A receiver that writes these bytes and closes the connection."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            received = b""
            while b"\r\n\r\n" not in received:
                received += self.request.recv(65536)
            try:
                answer(self.request)
            except OSError:
                """Koppel has read enough."""

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/hook"
        server.shutdown()


def whole(head: bytes, body: bytes) -> Answer:
    return lambda connection: connection.sendall(HEAD + head + b"\r\n" + body)


def slow(connection: socket.socket) -> None:
    connection.sendall(HEAD + b"Content-Length: 100\r\n\r\nthanks")
    connection.recv(1)  # until Koppel closes


BODIES = {
    "3 MB": whole(b"Content-Length: 3000000\r\n", b"x" * 3_000_000),
    "endless": whole(b"", b"x" * 80_000_000),
    "slow": slow,
    "cut": whole(b"Content-Length: 1000\r\n", b"thanks"),
    "cut chunk": whole(b"Transfer-Encoding: chunked\r\n", b"ff\r\nthanks"),
    "malformed chunk": whole(b"Transfer-Encoding: chunked\r\n", b"zz\r\nthanks\r\n0\r\n\r\n"),
    "malformed header": whole(b"Retry After 5\r\n\x00: 1\r\n", b""),
    "head that ends early": lambda connection: connection.sendall(HEAD + b"Content-Le"),
    "interim answer": lambda connection: connection.sendall(
        b"HTTP/1.1 102 Processing\r\n\r\n" + HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n"
    ),
    "gzip": whole(b"Content-Encoding: gzip\r\n", gzip.compress(b"thanks")),
    "broken gzip": whole(b"Content-Encoding: gzip\r\nContent-Length: 6\r\n", b"thanks"),
    "unknown coding": whole(b"Content-Encoding: br\r\nContent-Length: 6\r\n", b"thanks"),
    "bytes that are no text": whole(b"Content-Length: 3\r\n", b"\xff\x00\xfe"),
    "nothing": whole(b"", b""),
}


@pytest.mark.parametrize("name", BODIES)
def test_a_2xx_is_delivered_whatever_its_body_does(anna: Actor, browser: Client, name: str) -> None:
    with raw_receiver(BODIES[name]) as url:
        created = create_webhook(browser, url)
        open_test_event(anna, NEWS, context={"name": "x"})
        assert send(anna) == 1
    (entry,) = log(browser, created["id"])
    assert (entry["state"], entry["attempts"], entry["response_status"]) == ("sent", 1, 200)


def test_a_refusal_with_a_malformed_body_is_no_delivery_and_its_pause_holds(
    anna: Actor, browser: Client
) -> None:
    """A body that pretends to be another answer changes nothing."""
    head = b"HTTP/1.1 503 No\r\nRetry-After: 7200\r\nTransfer-Encoding: chunked\r\n\r\n"
    with raw_receiver(lambda connection: connection.sendall(head + b"zz\r\n" + HEAD + b"\r\n")) as url:
        created = create_webhook(browser, url)
        open_test_event(anna, NEWS, context={"name": "x"})
        assert send(anna) == 0
    (entry,) = log(browser, created["id"])
    assert (entry["state"], entry["response_status"]) == ("waiting", 503)
    with organisation_scope(anna.organisation_id):
        paused_until = WebhookEndpoint.objects.get().paused_until
    assert paused_until is not None
    assert paused_until > timezone.now() + timedelta(minutes=110)


@pytest.mark.parametrize(
    ("status", "value", "seconds"),
    [
        (503, "7200", 7200),
        (429, "two hours ahead", 7200),
        (500, "7200.5", 7200),
        (503, "99999999999999", PAUSE_SECONDS_MAX),
        (503, "-5", 60),
        (429, "soon", 60),
    ],
)
def test_a_receiver_that_asks_for_a_pause_gets_no_message_before_it_is_over(
    anna: Actor, browser: Client, program: Receiver, status: int, value: str, seconds: int
) -> None:
    created = create_webhook(browser, program.url)
    in_two_hours = format_datetime(datetime.now(UTC) + timedelta(hours=2), usegmt=True)
    program.answers = [(status, {"Retry-After": in_two_hours if value == "two hours ahead" else value})]
    open_test_event(anna, NEWS, "one", context={"name": "x"})
    assert send(anna) == 0
    asked_at = timezone.now()
    open_test_event(anna, NEWS, "two", context={"name": "y"})
    if seconds > 60:
        assert send(anna) == 0, "nor another message"
        browser.post(f"{API}/{created['id']}/test")
        assert send(anna) == 0, "nor a person's test"
        assert len(program.got) == 1
        with organisation_scope(anna.organisation_id):
            for due_at in WebhookDelivery.objects.values_list("due_at", flat=True):
                assert abs((due_at - asked_at).total_seconds() - seconds) < 10
    make_due(anna)
    assert send(anna) == (3 if seconds > 60 else 2)


def test_another_address_is_not_bound_by_the_pause_of_the_old_one(
    anna: Actor, browser: Client, program: Receiver
) -> None:
    created = create_webhook(browser, program.url)
    program.answers = [(503, {"Retry-After": "7200"})]
    open_test_event(anna, NEWS, context={"name": "x"})
    assert send(anna) == 0
    payload = {"name": "Tickets", "url": f"{program.url}/new", "events": []}
    browser.put(f"{API}/{created['id']}", payload, content_type="application/json")
    with organisation_scope(anna.organisation_id):
        assert WebhookEndpoint.objects.get().paused_until is None
