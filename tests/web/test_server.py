"""The web server: what one client does, slow or large, keeps no other waiting."""

import asyncio
import contextlib
import http.client
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from http import HTTPStatus
from typing import Any

import psycopg
import pytest
import structlog
from django.conf import settings
from django.template import loader

from koppel.kit.database.embedded_postgres import Addresses
from koppel.kit.database.health.readiness import CACHE_SECONDS
from koppel.web.server import refused_requests
from koppel.web.server.clients import RequestClient, credential_digest
from koppel.web.server.fair_threads import FairThreads
from koppel.web.server.limits import KIBIBYTE, MEBIBYTE, Limits
from koppel.web.server.refused_requests import RefusalLog, RequestRefused, refusal_content
from koppel.web.server.request_body import RequestBodies
from tests.fixtures.stack import end_process, wait_until

SLOW_CLIENTS = 200
FORM = "/connections/consent/callback"


@pytest.fixture(scope="module")
def web(django_db_setup: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of a web process."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    command = [sys.executable, "-m", "koppel.cli", "web", "--port", str(port), "--threads", "2"]
    with (tmp_path_factory.mktemp("web") / "web.log").open("wb") as log:
        process = subprocess.Popen(command, env=dict(os.environ), stdout=log, stderr=log)
    try:
        wait_until(lambda: is_answering(port, "/livez"))
        yield port
    finally:
        end_process(process)


def is_answering(port: int, path: str, *, seconds: float = 10) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=seconds)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == HTTPStatus.OK
    except OSError:
        return False
    finally:
        connection.close()


def sent(port: int, body: bytes, *, path: str = FORM, **headers: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request("POST", path, body, named)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


@pytest.mark.parametrize(
    "beginning",
    [
        f"POST {FORM} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\nstate=",
        f"POST {FORM} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nstate=\r\n",
        "GET / HTTP/1.1\r\nHost: loc",
    ],
    ids=["bodies", "chunked bodies", "headers"],
)
def test_slow_clients_keep_no_thread(web: int, beginning: str) -> None:
    with ExitStack() as clients:
        for _number in range(SLOW_CLIENTS):
            client = clients.enter_context(socket.create_connection(("127.0.0.1", web)))
            client.sendall(beginning.encode())
        for path in ("/livez", "/healthz", "/accounts/login/"):
            assert is_answering(web, path, seconds=5), path
        began = time.monotonic()
        assert is_answering(web, "/livez")
        assert time.monotonic() - began < 1


def test_readiness_is_answered_for_any_host_and_in_time_while_the_database_hangs(
    web: int, database_addresses: Addresses
) -> None:
    def readiness() -> tuple[int, dict[str, Any]]:
        connection = http.client.HTTPConnection("127.0.0.1", web, timeout=30)
        with contextlib.closing(connection):
            connection.request("GET", "/readyz", headers={"Host": "10.0.0.5:8400"})
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())

    wait_until(lambda: readiness() == (HTTPStatus.OK, {"status": "ok", "quarantined": False}))
    assert is_answering(web, "/healthz")
    with psycopg.connect(database_addresses.superuser_url) as maintenance:
        maintenance.execute("LOCK TABLE django_migrations")
        time.sleep(CACHE_SECONDS)
        for _number in range(2):
            began = time.monotonic()
            assert readiness() == (503, {"status": "unavailable", "reasons": ["database_slow"]})
            assert time.monotonic() - began < 2
        assert is_answering(web, "/livez", seconds=1)
    wait_until(lambda: readiness()[0] == HTTPStatus.OK)


def test_a_body_that_stops_is_refused_in_time(web: int) -> None:
    with socket.create_connection(("127.0.0.1", web), timeout=30) as client:
        client.sendall(f"POST {FORM} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99\r\n\r\na".encode())
        assert client.recv(4096).startswith(b"HTTP/1.1 408 ")


def test_a_connection_that_sends_no_head_is_closed_in_time(web: int) -> None:
    """Neither silence nor the beginning of another protocol keeps one of the server's connections."""
    beginnings = (b"", b"P", b"GET / HTTP/1.1\r\nHost: loc", b"PRI * HTTP/2.0\r\n", b"\x16\x03\x01")
    with ExitStack() as clients:
        silent = []
        for beginning in beginnings:
            client = clients.enter_context(socket.create_connection(("127.0.0.1", web), timeout=20))
            client.sendall(beginning)
            silent.append(client)
        for client in silent:
            with contextlib.suppress(ConnectionResetError):
                while client.recv(4096):
                    pass


def test_large_requests_are_refused_unread(web: int) -> None:
    status, page = sent(web, b"a" * MEBIBYTE)
    assert (status, b"too large" in page) == (HTTPStatus.REQUEST_ENTITY_TOO_LARGE, True)
    status, page = sent(web, b"a" * MEBIBYTE, Accept_Language="nl-NL,nl;q=0.9")
    assert b"te groot" in page
    token = {"Authorization": "Bearer koppel_x"}
    status, answer = sent(web, b"a" * 20 * MEBIBYTE, path="/api/v1/webhooks", **token)
    assert (status, json.loads(answer)) == (
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        {"error": "request_too_large"},
    )
    status, answer = sent(web, b"a" * MEBIBYTE, path="/api/v1/webhooks", **token)
    assert status == HTTPStatus.UNAUTHORIZED, "Those who may send more still do."
    status, _page = sent(web, b"", X_Long="a" * 80 * KIBIBYTE)
    assert status == HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE


HOSTILE = {
    "deep JSON": (b"[" * 200_000, "application/json"),
    "colliding numbers": (
        b"{" + b",".join(b'"%d": 1' % (number * (2**61 - 1)) for number in range(9000)) + b"}",
        "application/json",
    ),
    "many fields": (
        b"&".join(b"f%d=1" % number for number in range(25_000)),
        "application/x-www-form-urlencoded",
    ),
    "many parts": (
        b"".join(
            b'--x\r\nContent-Disposition: form-data; name="%d"\r\n\r\n1\r\n' % number
            for number in range(4500)
        )
        + b"--x--",
        "multipart/form-data; boundary=x",
    ),
    "a long part's head": (b"--x\r\n" + b"a: b\r\n" * 40_000, "multipart/form-data; boundary=x"),
    "compressed": (b"\x1f\x8b" + b"\0" * 200_000, "application/x-www-form-urlencoded"),
}


def test_bodies_that_are_expensive_to_read_stop_nobody(web: int) -> None:
    with ThreadPoolExecutor(12) as strangers:
        sending = [
            strangers.submit(sent, web, body, path=path, Content_Type=kind, Content_Encoding="gzip")
            for body, kind in HOSTILE.values()
            for path in (FORM, "/accounts/login/", "/api/v1/webhooks")
        ]
        longest = 0.0
        while not all(one.done() for one in sending):
            began = time.monotonic()
            assert is_answering(web, "/livez")
            longest = max(longest, time.monotonic() - began)
    assert longest < 1
    assert max(one.result()[0] for one in sending) < HTTPStatus.INTERNAL_SERVER_ERROR


def test_a_client_that_takes_no_answer_keeps_no_thread(web: int) -> None:
    """More of them than threads ask for a static file and read none of it."""
    with ExitStack() as clients:
        for _number in range(8):
            client = clients.enter_context(socket.create_connection(("127.0.0.1", web)))
            client.sendall(b"GET /static/koppel/koppel.css HTTP/1.1\r\nHost: localhost\r\n\r\n" * 20)
        assert is_answering(web, "/accounts/login/", seconds=5)


def test_a_busy_client_leaves_threads_to_others() -> None:
    async def story() -> tuple[list[str], int]:
        threads = FairThreads(8, Limits(waiting_of_client=20))
        busy, quiet = (
            RequestClient("organisation 1", is_known=True),
            RequestClient("organisation 2", is_known=True),
        )
        order: list[str] = []
        release = asyncio.Event()

        async def work(client: RequestClient) -> None:
            async with threads.reserve(client):
                order.append(client.key)
                await release.wait()

        tasks = [asyncio.create_task(work(busy)) for _number in range(20)]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        alone = len(order)
        tasks.append(asyncio.create_task(work(quiet)))
        await asyncio.sleep(0.01)
        assert order[alone:] == [quiet.key], "At once, beside twenty of another client."
        tasks += [asyncio.create_task(work(busy)) for _number in range(20)]
        await asyncio.sleep(0.01)
        refused = [task for task in tasks if task.done() and isinstance(task.exception(), RequestRefused)]
        assert len(refused) == 14, "Twenty may wait."
        release.set()
        await asyncio.gather(*tasks, return_exceptions=True)
        return order, alone

    order, alone = asyncio.run(story())
    assert alone == 6
    assert len(order) > 20


def test_a_thread_of_a_client_that_used_much_rests_while_other_organisations_are_active() -> None:
    busy, quiet = (RequestClient(f"organisation {number}", is_known=True) for number in (1, 2))
    moment = [0.0]

    async def request(threads: FairThreads, client: RequestClient, seconds: float) -> None:
        async with threads.reserve(client):
            moment[0] += seconds

    async def story() -> list[float]:
        threads = FairThreads(8, Limits(), lambda: moment[0])
        await request(threads, RequestClient("192.0.2.1", is_known=False), 0.1)
        await request(threads, busy, 9.0)
        alone = threads.rest_seconds(busy, 0.3)
        await request(threads, quiet, 0.1)
        beside_another = [threads.rest_seconds(client, 0.3) for client in (busy, quiet)]
        longest = threads.rest_seconds(busy, 9.0)
        await request(threads, quiet, 6.0)
        as_much = [threads.rest_seconds(client, 0.3) for client in (busy, quiet)]
        moment[0] += 61
        return [alone, *beside_another, longest, *as_much, threads.rest_seconds(busy, 0.3)]

    assert asyncio.run(story()) == [0.0, 0.3, 0.0, 2.0, 0.0, 0.0, 0.0]


def test_waiting_for_another_system_is_no_use() -> None:
    client, moment = RequestClient("organisation 1", is_known=True), [0.0]

    async def story() -> float:
        threads = FairThreads(8, Limits(), lambda: moment[0])
        async with threads.reserve(client) as reservation:
            moment[0] += 9.0
            reservation.waited_seconds = 8.5
        return threads.use(client)

    assert asyncio.run(story()) == 0.5


def test_refusals_cost_little(monkeypatch: pytest.MonkeyPatch) -> None:
    """Their page is made once and their log has a line a second, with their number."""
    rendered: list[str] = []
    get_template = loader.get_template

    def counted(name: str) -> Any:
        rendered.append(name)
        return get_template(name)

    monkeypatch.setattr(loader, "get_template", counted)
    refused_requests._page.cache_clear()
    busy, moment = RequestRefused(HTTPStatus.SERVICE_UNAVAILABLE), [0.0]
    pages = {refusal_content(busy, "/", language)[1] for language in ("nl", "en", "nl", "de") * 50}
    assert len(pages) == len(rendered) == 2
    refusals = RefusalLog(lambda: moment[0])
    with structlog.testing.capture_logs() as lines:
        for _number in range(100):
            refusals.add(busy)
            moment[0] += 0.0625
    assert [line["count"] for line in lines] == [1, *[16] * 6]


def test_strangers_get_half_of_the_threads() -> None:
    async def story() -> int:
        threads = FairThreads(8, Limits())
        began = 0

        async def work(number: int) -> None:
            nonlocal began
            async with threads.reserve(RequestClient(f"192.0.2.{number}", is_known=False)):
                began += 1
                await asyncio.sleep(0.05)

        tasks = [asyncio.create_task(work(number)) for number in range(50)]
        await asyncio.sleep(0.02)
        first = began
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        async with threads.reserve(RequestClient("192.0.2.1", is_known=False)):
            pass
        return first

    assert asyncio.run(story()) == 4


def test_bodies_have_a_limit_for_each_client_and_each_kind_of_client() -> None:
    """Nor do the large bodies of strangers keep out what is as small as a form."""
    limits = Limits(
        bodies_size=1000, bodies_size_of_client=700, bodies_of_client=1, body_size_of_strangers=300
    )
    strangers = [RequestClient(f"192.0.2.{number}", is_known=False) for number in range(3)]
    firm = RequestClient("organisation 1", is_known=True)

    async def story() -> None:
        bodies = RequestBodies(limits)

        async def receive_within(size: int, client: RequestClient) -> None:
            async def receive() -> dict[str, Any]:
                return {"type": "http.request", "body": b"a" * size, "more_body": False}

            body = stack.enter_context(bodies.open(client, 5000))
            await body.receive(receive, None)

        with ExitStack() as stack:
            await receive_within(1000, strangers[0])
            with pytest.raises(RequestRefused):
                stack.enter_context(bodies.open(strangers[0], 5000))
            with pytest.raises(RequestRefused):
                await receive_within(1001, strangers[1])
            with pytest.raises(RequestRefused):
                await receive_within(701, firm)
        with ExitStack() as stack:
            await receive_within(1000, strangers[0])
            with pytest.raises(RequestRefused):
                await receive_within(700, strangers[1])
            await receive_within(300, strangers[2])
            await receive_within(700, firm)
        assert bodies.size == 0

    asyncio.run(story())


def test_a_refused_request_takes_no_thread_from_others() -> None:
    """A client that was refused for the others' sake used to be admitted later, with nobody to release it."""
    clients = [RequestClient(f"192.0.2.{number}", is_known=False) for number in range(4)]

    async def story() -> None:
        threads = FairThreads(8, Limits(waiting=3, waiting_of_client=2, waiting_seconds=0.05))

        async def work(client: RequestClient) -> None:
            async with threads.reserve(client):
                await asyncio.sleep(0.02)

        for _round in range(20):
            tasks = [asyncio.create_task(work(client)) for client in clients for _number in range(10)]
            await asyncio.gather(*tasks, return_exceptions=True)
        results = await asyncio.gather(*(work(client) for client in clients), return_exceptions=True)
        assert results == [None] * len(clients)

    asyncio.run(story())


def test_strangers_that_wait_keep_no_organisation_out() -> None:
    async def story() -> None:
        threads = FairThreads(8, Limits(waiting=20, waiting_of_client=10))
        release = asyncio.Event()

        async def work(client: RequestClient) -> None:
            async with threads.reserve(client):
                if not client.is_known:
                    await release.wait()

        strangers = [RequestClient(f"192.0.2.{number}", is_known=False) for number in range(9)]
        tasks = [asyncio.create_task(work(client)) for client in strangers for _number in range(9)]
        await asyncio.sleep(0.01)
        await work(RequestClient("organisation 1", is_known=True))
        release.set()
        await asyncio.gather(*tasks, return_exceptions=True)

    asyncio.run(story())


@pytest.mark.parametrize(("path", "authorization"), [("/", "Bearer x"), ("/api/v1/me", "Basic x")])
def test_a_made_up_header_moves_nobody_out_of_an_organisations_share(path: str, authorization: str) -> None:
    cookies = f"{settings.SESSION_COOKIE_NAME}=secret"
    digest = credential_digest(path, "", cookies)
    assert digest == credential_digest(path, authorization, cookies)
    assert digest != credential_digest("/api/v1/me", "Bearer token", cookies)
