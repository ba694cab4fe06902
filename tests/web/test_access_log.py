"""The access log names the client, keeps secrets out, and is what the documented filter of fail2ban reads."""

import re
from pathlib import Path
from typing import Any

import pytest
from django.test import Client, RequestFactory

from koppel.web.server.request_log import access_line

DOCS = Path(__file__).parents[2] / "docs" / "audit-log.md"
DATE = re.compile(r"\[\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d \+0000\]")
FAILREGEX = [
    re.compile(text.replace("<ADDR>", r"(?P<address>[\d.a-f:]+)"))
    for text in re.findall(r"^(?:failregex = |\s+)(\^<ADDR>.*)$", DOCS.read_text(), re.MULTILINE)
]


def find_banned_addresses(line: str) -> list[str]:
    """Addresses that fail2ban would count: it cuts the date out of a line first."""
    assert DATE.search(line), line
    rest = DATE.sub("", line)
    return [found["address"] for pattern in FAILREGEX if (found := pattern.search(rest))]


@pytest.mark.usefixtures("clean_database")
def test_a_failed_sign_in_is_counted_and_a_page_is_not(tmp_path: Path, settings: Any) -> None:
    settings.ACCESS_LOG = str(tmp_path / "access.log")
    client = Client(REMOTE_ADDR="192.0.2.7")
    client.post("/accounts/login/?next=/secret", {"login": "a@firm.example", "password": "wrong"})
    client.get("/accounts/login/")
    client.get("/api/v1/me", headers={"Authorization": "Bearer koppel_x"})
    lines = (tmp_path / "access.log").read_text().splitlines()
    assert [find_banned_addresses(line) for line in lines] == [["192.0.2.7"], [], ["192.0.2.7"]]
    assert "secret" not in lines[0]


def test_a_line_cannot_be_forged_and_has_no_secret() -> None:
    factory = RequestFactory()
    strange = factory.generic("GET\n", '/x" 200 -\n192.0.2.9 - - "POST /accounts/login/ HTTP/1.1" 200 -')
    strange.META["REMOTE_ADDR"] = '192.0.2.1 - - "'
    line = access_line(strange, 404)
    assert line.startswith("- - - [")
    assert (line.count('"'), "\n" in line, find_banned_addresses(line)) == (2, False, [])
    key = "/accounts/password/reset/key/1-c9qsp4-0123456789abcdef0123456789abcdef/"
    assert "c9qsp4" not in access_line(factory.get(key), 200)
