"""URLs that grant access never appear in the log, whatever becomes of the request."""

import io
import json
import logging
import re
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote

import pytest
import structlog
from allauth.account.forms import default_token_generator
from allauth.account.utils import user_pk_to_url_str
from django.conf import settings
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver

from koppel.kit.logging import configure
from koppel.kit.logging.redaction import redacted
from koppel.kit.tenancy import organisation_scope
from koppel.notifications.email.unsubscribe import unsubscribe_token
from koppel.organisations.invitations import services as invitations
from koppel.organisations.invitations.inputs import InvitationInput
from koppel.organisations.models import Membership, User
from koppel.organisations.roles import Actor, Role
from tests.fixtures.people import MakeActor

OPENS_SOMETHING = ("token", "key", "uidb36", "secret", "link", "signature")
"""Names of parts of addresses."""


@pytest.fixture(autouse=True)
def _restore_logging(clean_database: None) -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def live_links(anna: Actor) -> dict[str, tuple[str, str]]:
    """By route: the address, and the part of it that opens something."""
    with organisation_scope(anna.organisation_id):
        invitation = invitations.invite(
            anna, InvitationInput(email="bea@firm.example", name="Bea", role=Role.READER)
        )
        member = Membership.objects.select_related("user").get(pk=anna.membership_id)
        way_out = unsubscribe_token(member, "run_failed")
    invited = invitations.link_of(invitation).removeprefix(settings.PUBLIC_URL)
    user = User.objects.get(pk=anna.user_id)
    key = f"{user_pk_to_url_str(user)}-{default_token_generator.make_token(user)}"
    return {
        "invitation": (invited, invited.split("/")[2]),
        "unsubscribe": (f"/notifications/unsubscribe/{way_out}", way_out),
        "reset": (f"/accounts/password/reset/key/{key}/", key),
    }


def secret_parts(token: str) -> set[str]:
    """The token, its signature alone, and both as another address would carry them."""
    last = token.rsplit(":" if ":" in token else "-", maxsplit=1)[-1]
    assert len(last) >= 20
    return {token, quote(token, safe=""), last}


Ask = Callable[[Actor, str, pytest.MonkeyPatch], int]


def post_without_cookie(_anna: Actor, path: str, _patch: pytest.MonkeyPatch) -> int:
    return Client(enforce_csrf_checks=True).post(path).status_code


def get_longer_path(_anna: Actor, path: str, _patch: pytest.MonkeyPatch) -> int:
    return Client().get(f"{path.rstrip('/')}/x/y?next={quote(path, safe='')}").status_code


def get_at_other_host(_anna: Actor, path: str, _patch: pytest.MonkeyPatch) -> int:
    return Client(headers={"host": f"evil.example{path}"}).get(path).status_code


def while_koppel_is_broken(_anna: Actor, path: str, patch: pytest.MonkeyPatch) -> int:
    def broken(*_args: Any, **_more: Any) -> None:
        raise RuntimeError(f"cannot answer {path}")

    patch.setattr("django.core.handlers.base.BaseHandler.resolve_request", broken)
    return Client(raise_request_exception=False).get(path).status_code


@pytest.mark.parametrize(
    ("ask", "status", "route"),
    [
        (post_without_cookie, 403, "invitation"),
        (post_without_cookie, 403, "reset"),
        (get_longer_path, 404, "invitation"),
        (get_longer_path, 404, "unsubscribe"),
        (get_at_other_host, 400, "invitation"),
        (get_at_other_host, 400, "unsubscribe"),
        (get_at_other_host, 400, "reset"),
        (while_koppel_is_broken, 500, "invitation"),
        (while_koppel_is_broken, 500, "unsubscribe"),
        (while_koppel_is_broken, 500, "reset"),
    ],
)
def test_a_live_link_stands_in_no_line(
    actor: MakeActor,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    ask: Ask,
    status: int,
    route: str,
) -> None:
    anna = actor("administrator", name="Anna")
    path, token = live_links(anna)[route]
    configure(human=False)
    assert ask(anna, path, monkeypatch) == status
    written = capsys.readouterr().err
    assert [part for part in secret_parts(token) if part in written] == []
    assert "[redacted]" in written


def test_a_link_that_no_longer_works_stands_in_no_line(
    actor: MakeActor, capsys: pytest.CaptureFixture[str]
) -> None:
    anna = actor("administrator", name="Anna")
    path, token = live_links(anna)["invitation"]
    with organisation_scope(anna.organisation_id):
        invitations.revoke(anna, invitations.open_invitations(anna.organisation_id).get().pk)
    configure(human=False)
    assert Client().get(path).status_code in (404, 410)
    written = capsys.readouterr().err
    assert "[redacted]" in written
    assert [part for part in secret_parts(token) if part in written] == []


def test_a_failed_log_line_is_not_printed_elsewhere(
    actor: MakeActor, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk is full, or who read the log has gone: Python's own report of that would show the line as it
    was.
    """
    path, token = live_links(actor("administrator", name="Anna"))["invitation"]
    closed = io.StringIO()
    with monkeypatch.context() as patch:
        patch.setattr("sys.stderr", closed)
        configure(human=False)
    closed.close()
    assert Client(enforce_csrf_checks=True).post(path).status_code == 403
    written = capsys.readouterr().err
    assert "could not be written" in written
    assert [part for part in secret_parts(token) if part in written] == []


def text_routes(resolver: URLResolver | None = None, before: str = "/") -> Iterator[tuple[str, str]]:
    """Every address with a part that is no number: an example of it, and that part."""
    for pattern in (resolver or get_resolver()).url_patterns:
        path = before + str(pattern.pattern).lstrip("^")
        if isinstance(pattern, URLResolver):
            yield from text_routes(pattern, path)
            continue
        assert isinstance(pattern, URLPattern)
        for name in set(re.findall(r"<(?!int:)(?:\w+:)?(\w+)>", path)) & set(OPENS_SOMETHING):
            example = re.sub(
                r"\(\?P<(\w+)>[^)]*\)|<(?:\w+:)?(\w+)>", lambda part: f"Q{part[1] or part[2]}Q7f3", path
            )
            yield example.replace("\\", "").rstrip("$"), f"Q{name}Q7f3"


def test_every_address_with_a_word_of_its_own_hides_it() -> None:
    routes = [(path, part) for path, part in text_routes() if not path.startswith("/accounts/2fa/")]
    assert {"/invitation/QtokenQ7f3/", "/notifications/unsubscribe/QtokenQ7f3"} <= {
        path for path, _part in routes
    }
    assert any(path.startswith("/connections/new/") for path, _part in routes)
    readable = [
        path for path, part in routes if part in json.dumps(redacted({"event": f"Not Found: {path}"}))
    ]
    assert readable == []
