"""Requests that are expensive to parse are refused, and others are still answered."""

import http.client
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.fixtures.stack import PATIENCE_SECONDS, end_process, wait_until

HEADER_CHARACTERS = 60_000
"""Nearly as long as the server takes them. What grows with the square of it would need minutes for all of
these requests.
"""
PATH_CHARACTERS = 60_000
HOSTILE = [
    "postgres://a:",
    "https://a:",
    "a://",
    "smtp://a:b@",
    "password=&",
    'password"  ',
    "bearer  ",
    "bearer x.",
    "19640823-",
    "1964082",
]


@pytest.fixture
def web(clean_database: None, free_port: int, tmp_path: Path) -> Iterator[int]:
    """The port of a web process that writes its log."""
    command = [sys.executable, "-m", "koppel.cli", "web", "--port", str(free_port)]
    with (tmp_path / "web.log").open("wb") as log:
        process = subprocess.Popen(command, env=dict(os.environ), stdout=log, stderr=log)
    try:
        wait_until(lambda: status(free_port, "/healthz") is not None)
        yield free_port
    finally:
        end_process(process)


def status(port: int, path: str, headers: dict[str, str] | None = None) -> int | None:
    """None while nobody listens."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_SECONDS)
    try:
        connection.request("GET", path, headers=headers or {})
        return connection.getresponse().status
    except ConnectionError:
        return None
    finally:
        connection.close()


def repeat_text(text: str, length: int) -> str:
    return text * (length // len(text))


def test_expensive_requests_are_refused_quickly(web: int, tmp_path: Path) -> None:
    with ThreadPoolExecutor(2 * len(HOSTILE)) as strangers:
        by_host = [
            strangers.submit(status, web, "/", {"Host": repeat_text(text, HEADER_CHARACTERS)})
            for text in HOSTILE
        ]
        by_path = [
            strangers.submit(status, web, f"/{repeat_text(quote(text, safe=':/@=&'), PATH_CHARACTERS)}")
            for text in HOSTILE
        ]
        assert status(web, "/healthz") == HTTPStatus.OK
        assert {one.result() for one in by_host} == {HTTPStatus.BAD_REQUEST}
        assert {one.result() for one in by_path} <= {HTTPStatus.NOT_FOUND, HTTPStatus.FOUND}
    assert status(web, "/healthz") == HTTPStatus.OK
    written = (tmp_path / "web.log").read_text()
    assert "postgres://a:" in written, "What a stranger sends is logged."
    assert max(len(line) for line in written.splitlines()) < 100_000
