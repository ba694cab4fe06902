"""An original stops for a copy only when one of its operators confirms; then it gives its tokens away."""

import hashlib
from datetime import timedelta
from typing import Any

import pytest
from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value, yield_hotp_counters_from_time
from django.test import Client
from django.utils import timezone

from koppel.audit.models import AuditEntry
from koppel.connections.models import Grant
from koppel.connections.vault import export_grants, import_grants
from koppel.kit import quarantine
from koppel.kit.encryption import Secret
from koppel.kit.encryption.fields import decrypt_column, encrypt_column
from koppel.kit.models import ReplacementRequest
from koppel.kit.quarantine import Reason, replacement
from koppel.kit.tenancy import organisation_scope
from koppel.organisations.models import User
from koppel.organisations.people import operators
from koppel.organisations.roles import Actor
from tests.fixtures.database import INSTALLATION_ID
from tests.fixtures.people import PASSWORD, signed_in
from tests.fixtures.stack import Sandbox, register_app
from tests.vault.factories import GrantedAccess, connection_of, create_grants

CODE = "ABCD-EFGH"
PAGE = "/operator/replacement"


@pytest.fixture
def operator(actor: Any) -> Actor:
    otto = actor("user", name="Otto")
    operators.grant_operator(User.objects.get(pk=otto.user_id).email, is_operator=True)
    return otto  # type: ignore[no-any-return]


@pytest.fixture
def granted(clean_database: None, sandbox: Sandbox, actor: Any) -> GrantedAccess:
    return create_grants(sandbox, connection_of(actor(), register_app(sandbox)))[0]


def ask(
    installation: str = INSTALLATION_ID,
    *,
    code: str = CODE,
    sender: str = "new-host: /data",
    address: str = "192.0.2.1",
) -> Any:
    digest = hashlib.sha256(code.replace("-", "").encode()).hexdigest()
    fields = {"installation": installation, "code_digest": digest, "sender": sender}
    return Client(enforce_csrf_checks=True).post("/replacement/", fields, REMOTE_ADDR=address)


def state_of(token: str) -> str:
    return str(Client().get(f"/replacement/{token}/").json()["state"])


def settle() -> None:
    ReplacementRequest.objects.update(confirmed_at=timezone.now() - timedelta(seconds=6))


def test_the_code_of_the_copy_stops_the_original(granted: GrantedAccess, operator: Actor) -> None:
    asked_at = ask()
    token = asked_at.json()["token"]
    assert asked_at.json()["page"] == PAGE
    assert state_of(token) == "waiting"
    assert Client().get(f"/replacement/{token}/grants").status_code == 404
    client = signed_in(operator)
    page = client.get(PAGE).content.decode()
    assert "new-host: /data" in page
    assert client.post(PAGE, {"code": "WRONG"}).status_code == 403
    assert client.post(PAGE, {"code": CODE.lower()}).status_code == 302

    period = quarantine.current()
    assert period is not None
    assert (period.reason, state_of(token)) == (Reason.REPLACED, "stopping")
    settle()
    assert state_of(token) == "confirmed"
    rows = Client().get(f"/replacement/{token}/grants").json()["grants"]
    assert [row["id"] for row in rows] == [granted.grant_id]
    assert Client().get(f"/replacement/{token}/grants?after={granted.grant_id}").json()["grants"] == []
    with organisation_scope(granted.organisation_id):
        actions = list(AuditEntry.objects.values_list("action", flat=True))
    assert "quarantine.replaced" in actions
    ReplacementRequest.objects.update(confirmed_at=timezone.now() - timedelta(hours=2))
    assert Client().get(f"/replacement/{token}/grants").status_code == 404


def test_a_stranger_with_a_backup_takes_no_ones_turn(granted: GrantedAccess, operator: Actor) -> None:
    stolen = [
        ask(code="AAAA-BBBB", sender="koppel-2 (planned move)", address="203.0.113.9").json()["token"]
        for _attempt in range(replacement.PENDING_PER_ADDRESS_MAX + 1)
    ]
    assert Client().get(f"/replacement/{stolen[0]}/").status_code == 404, "its own oldest made room"
    token = ask().json()["token"]
    stolen.append(ask(code="AAAA-BBBB", address="203.0.113.9").json()["token"])
    client = signed_in(operator)
    page = client.get(PAGE).content.decode()
    assert "new-host: /data" in page
    assert "koppel-2 (planned move)" in page
    assert client.post(PAGE, {"code": CODE}).status_code == 302
    assert state_of(token) == "stopping"
    assert state_of(stolen[-1]) == "waiting"
    assert Client().get(f"/replacement/{stolen[-1]}/grants").status_code == 404


def test_a_code_of_the_second_step_confirms_no_request(operator: Actor) -> None:
    client = Client()
    email = User.objects.get(pk=operator.user_id).email
    client.post("/accounts/login/", {"login": email, "password": PASSWORD})
    client.get("/accounts/2fa/totp/activate/")
    secret = str(client.session["mfa.totp.secret"])
    now, after = list(yield_hotp_counters_from_time())[-2:]
    client.post("/accounts/2fa/totp/activate/", {"code": format_hotp_value(hotp_value(secret, now))})
    token = ask().json()["token"]
    assert client.post(PAGE, {"code": format_hotp_value(hotp_value(secret, after))}).status_code == 403
    assert state_of(token) == "waiting"


def test_nobody_else_may_ask_or_confirm(operator: Actor, actor: Any) -> None:
    assert ask("3b1f8a5e-0f1d-4c57-9d4e-000000000000").status_code == 404
    assert signed_in(operator).get(PAGE).status_code == 404
    token = ask().json()["token"]
    for client in (Client(), signed_in(actor("administrator"))):
        assert client.post(PAGE, {"code": CODE}).status_code in (302, 404)
    assert state_of(token) == "waiting"
    assert Client().get("/replacement/unknown/").status_code == 404
    for _attempt in range(replacement.ATTEMPTS_MAX):
        signed_in(operator).post(PAGE, {"code": "WRONG"})
    assert signed_in(operator).post(PAGE, {"code": CODE}).status_code == 404
    assert (state_of(token), quarantine.current()) == ("refused", None)
    assert ask().status_code == 200
    ReplacementRequest.objects.update(created_at=timezone.now() - timedelta(minutes=16))
    assert signed_in(operator).post(PAGE, {"code": CODE}).status_code == 404


def test_a_copy_gets_the_tokens_that_the_original_renewed(granted: GrantedAccess) -> None:
    before = granted.row()
    copied = {"generation": before.generation, "refresh_token": bytes(before.refresh_token or b"")}
    renewed = encrypt_column(before, "refresh_token", Secret("renewed"))
    granted.change(generation=before.generation + 2, refresh_token=renewed)
    rows = export_grants(0)
    granted.change(**copied, refresh_started_at=timezone.now())
    assert import_grants([*rows, {**rows[0], "id": rows[0]["id"] + 1}]) == 1
    after = granted.row()
    assert (after.generation, after.refresh_started_at) == (before.generation + 2, None)
    assert decrypt_column(after, "refresh_token").reveal() == "renewed"
    granted.change(generation=before.generation + 9)
    import_grants(rows)
    assert granted.row().generation == before.generation + 9
    with organisation_scope(granted.organisation_id):
        assert Grant.objects.count() == 1
