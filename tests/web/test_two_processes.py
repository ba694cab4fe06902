"""Two web processes count together: attempts on one are not free on the other."""

import json
import os
import re
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.cookiejar import CookieJar
from typing import Any
from urllib.parse import urlencode

import pytest

from koppel.kit.tenancy import organisation_scope
from koppel.notifications.models import WebhookDelivery
from koppel.notifications.webhooks.endpoints import create_webhook
from koppel.notifications.webhooks.inputs import WebhookInput
from koppel.organisations.access import api_tokens
from koppel.organisations.invitations.throttling import DAILY_MAX
from koppel.organisations.models import Invitation, User
from tests.fixtures.stack import end_process, wait_until

Address = str


@pytest.fixture(scope="module")
def webs(django_db_setup: None) -> Iterator[list[Address]]:
    processes, addresses = [], []
    for _number in range(2):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = str(probe.getsockname()[1])
        command = [sys.executable, "-m", "koppel.cli", "web", "--port", port, "--threads", "2"]
        processes.append(subprocess.Popen(command, env=dict(os.environ), stderr=subprocess.DEVNULL))
        addresses.append(f"http://localhost:{port}")
    try:
        for address in addresses:
            wait_until(lambda address=address: sent(f"{address}/livez") == 200)
        yield addresses
    finally:
        for process in processes:
            end_process(process)


def sent(url: str, body: bytes | None = None, opener: Any = None, **headers: str) -> int:
    try:
        request = urllib.request.Request(url, body, headers)
        with (opener or urllib.request.build_opener()).open(request, timeout=60) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0


def form_answer(url: str, **fields: str) -> str:
    """What the page says to the form, in a browser that was never here."""
    opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar()))
    page = opener.open(url, timeout=60).read().decode()
    token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page)
    assert token, page
    body = urlencode({"csrfmiddlewaretoken": token[1], **fields}).encode()
    try:
        return str(opener.open(url, body, timeout=60).read().decode())
    except urllib.error.HTTPError as error:
        return f"{error.code} {error.read().decode()}"


def post_json(url: str, values: Any, token: str) -> int:
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    return sent(url, json.dumps(values).encode(), **headers)


def test_attempts_count_over_all_web_processes(webs: list[Address], actor: Any) -> None:
    admin = actor("administrator")
    with organisation_scope(admin.organisation_id):
        _token, secret = api_tokens.create_token(admin, name="Two", days=30, role=None, read_only=False)
        webhook, _secret = create_webhook(
            admin, WebhookInput(name="Hook", url="https://hooks.example/", events=[], divisions=[])
        )
    email, text = User.objects.get(pk=admin.user_id).email, secret.reveal()

    guesses = [
        form_answer(f"{webs[n % 2]}/accounts/login/", login=email, password="x" * 12) for n in range(6)
    ]
    assert ["Too many" in page for page in guesses] == [False] * 5 + [True]

    resets = [form_answer(f"{webs[n % 2]}/accounts/password/reset/", email=email) for n in range(6)]
    assert [page.startswith("429") for page in resets] == [False] * 3 + [True] * 3

    people = "/api/v1/people/invitations"
    assert post_json(webs[0] + people, {"email": "guest@noord.example", "role": "user"}, text) == 201
    with organisation_scope(admin.organisation_id):
        resend = f"{people}/{Invitation.objects.get().pk}/resend"
    sends = [post_json(webs[n % 2] + resend, {}, text) for n in range(DAILY_MAX)]
    assert sends == [200] * (DAILY_MAX - 1) + [409]

    tests = [post_json(f"{webs[n % 2]}/api/v1/webhooks/{webhook.pk}/test", {}, text) for n in range(32)]
    assert tests == [tests[0]] * 30 + [429, 429]
    assert tests[0] in (200, 201, 202)
    with organisation_scope(admin.organisation_id):
        assert WebhookDelivery.objects.count() == 30
