"""The operator rotates, loses or mixes up the vault's keys; tokens survive."""

import base64
import json
import os
import signal
import subprocess
import sys
from html import unescape
from pathlib import Path
from typing import Any

import psycopg
import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import TOTP
from allauth.mfa.utils import decrypt
from django.db.models import Model

from koppel.audit.models import AuditEntry
from koppel.cli.checks.installation import run_checks
from koppel.connections.models import AppRegistration, ConsentAttempt, ConsentPurpose, Grant
from koppel.connections.vault.key_rotation import key_uses, rotate_keys
from koppel.kit.encryption import key_id_of, keyring
from koppel.kit.tenancy import installation_scope, organisation_scope
from koppel.organisations.models import Membership, User
from koppel.organisations.sso import services as single_sign_on
from koppel.organisations.sso.inputs import ProviderInput
from tests.fixtures.first_steps import newcomer
from tests.fixtures.stack import Sandbox, register_app, wait_until
from tests.vault.factories import GrantedAccess, connection_of, create_grants
from tests.vault.processes import programs

OLD = os.environ["KOPPEL_VAULT_KEYS"]


def key(name: str, byte: bytes = b"b") -> str:
    return f"{name}:{base64.b64encode(byte * 32).decode()}"


@pytest.fixture
def granted_accesses(clean_database: None, sandbox: Sandbox, actor: Any) -> list[GrantedAccess]:
    """Twenty consents, and a sign-in that was begun."""
    from koppel.connections.consent.attempts import begin_attempt

    admin, app = actor(), register_app(sandbox)
    with organisation_scope(admin.organisation_id):
        begin_attempt(admin, app.pk, ConsentPurpose.CONNECT, "/connections/")
    return create_grants(sandbox, connection_of(admin, app), 20)


@pytest.fixture
def home(tmp_path: Path, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data directory that this process and its children keep their keys in."""
    (tmp_path / "secrets.json").write_text(
        json.dumps({"KOPPEL_VAULT_KEYS": OLD, "KOPPEL_SECRET_KEY": "s" * 50})
    )
    monkeypatch.setenv("KOPPEL_DATA_DIR", str(tmp_path))
    settings.DATA_DIR = str(tmp_path)
    return tmp_path


def koppel(*words: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "koppel.cli", *words]
    return subprocess.run(command, capture_output=True, text=True, env=os.environ, check=False)


def keys_used() -> set[str]:
    with installation_scope("test"):
        envelopes = [bytes(one.access_token) for one in Grant.objects.all()]
        envelopes += [bytes(one.refresh_token or b"") for one in Grant.objects.all()]
        envelopes += [bytes(one.client_secret) for one in AppRegistration.objects.all()]
        envelopes += [bytes(one.secrets) for one in ConsentAttempt.objects.all()]
        envelopes += [bytes(one.unused_token) for one in ConsentAttempt.objects.exclude(unused_token=None)]
    return {key_id_of(one) for one in envelopes}


def test_keys_are_rotated_while_a_process_with_the_old_one_goes_on(
    granted_accesses: list[GrantedAccess], home: Path, sandbox: Sandbox
) -> None:
    """It was started before the new key was made, and finds it when it meets what the key sealed."""
    with programs(1, granted_accesses) as (running,):
        done = koppel("keys", "rotate", "--new", "--json")
        answer = json.loads(done.stdout)
        assert done.returncode == 0, done.stderr
        assert (answer["reencrypted"], answer["unreadable"]) == (42, {})
        assert keys_used() == {answer["key"]} != {"test"}
        running.go()
        tokens = [one for one in running.read_until_done() if "token" in one]
    assert len(tokens) == len(granted_accesses)
    assert keys_used() == {answer["key"]}
    assert json.loads(koppel("keys", "rotate", "--json").stdout)["reencrypted"] == 0
    assert OLD in (home / "secrets.json").read_text(), "The old key is the operator's to remove."


def test_a_rotation_that_was_stopped_goes_on(
    granted_accesses: list[GrantedAccess], settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from koppel.connections.vault import key_rotation

    settings.VAULT_KEYS = f"{key('new')},{OLD}"
    monkeypatch.setattr(key_rotation, "BATCH_ROWS", 6)
    real, calls = key_rotation._reencrypt_batch, []

    def stopping(model: type[Model], *arguments: Any) -> int:
        if model is Grant:
            calls.append(1)
            if len(calls) == 3:
                raise KeyboardInterrupt
        return real(model, *arguments)

    monkeypatch.setattr(key_rotation, "_reencrypt_batch", stopping)
    with pytest.raises(KeyboardInterrupt):
        rotate_keys("operator")
    assert keys_used() == {"new", "test"}
    assert {one.key: one.reason for one in key_uses()} == {"new": "", "test": ""}
    assert rotate_keys("operator").reencrypted == 42 - 24 - 1
    assert keys_used() == {"new"}


@pytest.mark.kill
def test_an_unfinished_rotation_is_audited(
    granted_accesses: list[GrantedAccess], settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who changed how an organisation's secrets are sealed is said with the change, not after all of it."""

    def killed() -> None:
        raise SystemError("killed")

    settings.VAULT_KEYS = f"{key('new')},{OLD}"
    monkeypatch.setattr("koppel.connections.vault.key_rotation.reencrypt_all", killed)
    with pytest.raises(SystemError):
        rotate_keys("jan")
    assert "new" in keys_used()
    with installation_scope("test"):
        entries = AuditEntry.objects.filter(action="keys.rotated").values_list(
            "organisation_id", "actor_name"
        )
        assert list(entries) == [(granted_accesses[0].organisation_id, "jan")]


def test_a_rotation_that_was_killed_goes_on_where_it_was(
    granted_accesses: list[GrantedAccess], home: Path, sandbox: Sandbox, database_addresses: Any
) -> None:
    """It has done the consents and waits for a sign-in that somebody holds; there it dies."""
    command = [sys.executable, "-m", "koppel.cli", "keys", "rotate", "--new"]
    with psycopg.connect(database_addresses.superuser_url) as other:
        other.execute("SELECT 1 FROM connections_consent_attempt FOR UPDATE")
        doomed = subprocess.Popen(
            command, env=dict(os.environ), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        wait_until(lambda: len(keys_used()) == 2)
        doomed.kill()
        assert doomed.wait() == -signal.SIGKILL
    assert {one.reason for one in key_uses()} == {""}, "both keys are there and open what they sealed"
    with programs(1, granted_accesses) as (running,):
        running.go()
        assert len([one for one in running.read_until_done() if "token" in one]) == len(granted_accesses)
    done = json.loads(koppel("keys", "rotate", "--json").stdout)
    assert (done["reencrypted"], done["unreadable"]) == (1, {})
    assert keys_used() == {done["key"]} != {"test"}


@pytest.mark.parametrize(
    "ring", [key("new"), key("test", b"x")], ids=["a lost key", "a wrong key of the same name"]
)
def test_a_lost_or_wrong_key_is_reported_and_destroys_nothing(
    granted_accesses: list[GrantedAccess],
    settings: Any,
    monkeypatch: pytest.MonkeyPatch,
    sandbox: Sandbox,
    ring: str,
) -> None:
    before = [bytes(one.row().access_token) for one in granted_accesses]
    monkeypatch.setenv("KOPPEL_VAULT_KEYS", ring)
    settings.VAULT_KEYS = ring
    (finding,) = [one for one in run_checks(8499) if one.topic == "vault keys"]
    assert not finding.is_ok
    assert "42 tokens and client secrets cannot be opened" in finding.text
    with programs(1, granted_accesses[:3]) as (running,):
        running.go()
        assert {one["error"] for one in running.read_until_done() if "error" in one} == {"vault_key"}
    rotated = koppel("keys", "rotate")
    sentence = (
        "is not in KOPPEL_VAULT_KEYS"
        if ring.startswith("new")
        else "'test' in KOPPEL_VAULT_KEYS does not open"
    )
    assert (rotated.returncode, sentence in rotated.stderr) == (1, True), rotated.stderr
    assert_key_warning(granted_accesses[0], sandbox)
    status = koppel("keys", "status")
    assert ("is not in KOPPEL_VAULT_KEYS" in status.stdout) or ("does not open" in status.stdout)
    monkeypatch.setenv("KOPPEL_VAULT_KEYS", OLD)
    settings.VAULT_KEYS = OLD
    assert [bytes(grant.row().access_token) for grant in granted_accesses] == before
    assert all(
        grant.row().invalid_since is None and grant.row().connection.state == "degraded"
        for grant in granted_accesses
    )
    with programs(1, granted_accesses[:3]) as (running,):
        running.go()
        assert len([one for one in running.read_until_done() if "token" in one]) == 3
    assert keyring().current == "test"


def test_a_wrong_key_makes_no_new_one_and_seals_nothing(
    granted_accesses: list[GrantedAccess], home: Path, monkeypatch: Any
) -> None:
    """The right file, restored beside the key of another backup: also as the older of two."""
    for ring in (key("test", b"x"), f"{key('new')},{key('test', b'x')}"):
        kept = json.dumps({"KOPPEL_VAULT_KEYS": ring, "KOPPEL_SECRET_KEY": "s" * 50})
        (home / "secrets.json").write_text(kept)
        monkeypatch.setenv("KOPPEL_VAULT_KEYS", ring)
        for words in (("--new",), ("--json",)):
            done = koppel("keys", "rotate", *words)
            assert (done.returncode, done.stdout) == (1, "")
            assert "none of the 42 secrets under its name" in done.stderr
        assert (home / "secrets.json").read_text() == kept
    assert keys_used() == {"test"}


@pytest.mark.usefixtures("granted_accesses")
@pytest.mark.parametrize("command", ["status", "rotate"])
def test_a_line_of_keys_that_cannot_be_read_is_one_sentence(
    command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KOPPEL_VAULT_KEYS", "half-a-line")
    done = koppel("keys", command)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.strip().startswith("KOPPEL_VAULT_KEYS must look like")
    assert "Traceback" not in done.stderr


def test_one_secret_that_does_not_open_is_said_also_under_the_first_key(
    granted_accesses: list[GrantedAccess],
) -> None:
    """The others are well, so the key is the right one."""
    with installation_scope("test"):
        broken, other = Grant.objects.order_by("pk")[:2]
        Grant.objects.filter(pk=broken.pk).update(access_token=other.access_token)
    done = koppel("keys", "rotate")
    assert done.returncode == 1
    assert 'unreadable: {"test": 1}' in done.stdout
    assert "Could not be opened, and left as they are: 1." in done.stderr


def assert_key_warning(granted_accesses: GrantedAccess, sandbox: Sandbox) -> None:
    """Every button that needs a secret answers with the sentence, in the person's language."""
    row = granted_accesses.row()
    with organisation_scope(granted_accesses.organisation_id):
        owner: Any = Membership.objects.get(pk=row.connection.owner_id)
    app, connection = row.connection.app_id, granted_accesses.connection_id
    buttons = (
        f"/connections/{connection}/reconnect",
        f"/connections/{connection}/probe",
        f"/connections/apps/{app}/test",
    )
    for language, words in (
        ("en", "its key is missing or wrong"),
        ("nl", "de sleutel ontbreekt of niet klopt"),
    ):
        anna = newcomer(owner, sandbox, language)
        for button in buttons:
            page = anna.client.post(button, follow=True)
            assert (page.status_code, words in unescape(page.content.decode())) == (200, True), button
        sign_in = anna.client.post("/connections/new/", {"connector": "visma_net"}).headers["Location"]
        assert words in unescape(anna.client.post(sign_in, {"app": app}, follow=True).content.decode())


def test_second_steps_and_identity_providers_move_to_the_new_key_too(actor: Any, settings: Any) -> None:
    """The old key can be thrown away: nobody is locked out by that."""
    admin = actor("administrator", name="Anna")
    user = User.objects.get(pk=admin.user_id)
    secret = TOTP.activate(user, "JBSWY3DPEHPK3PXP").instance.data["secret"]
    RecoveryCodes.activate(user)
    codes = RecoveryCodes(Authenticator.objects.get(user=user, type="recovery_codes")).get_unused_codes()
    with organisation_scope(admin.organisation_id):
        single_sign_on.configure(
            admin,
            ProviderInput(
                name="Entra", issuer="https://login.example.test", client_id="koppel", client_secret="hush"
            ),
        )
    settings.VAULT_KEYS = f"{key('new')},{OLD}"
    assert rotate_keys("operator").reencrypted == 3
    settings.VAULT_KEYS = key("new")
    assert {one.key: (one.secrets, one.reason) for one in key_uses()} == {"new": (3, "")}
    authenticator = Authenticator.objects.get(user=user, type="totp")
    assert decrypt(authenticator.data["secret"]) == "JBSWY3DPEHPK3PXP"
    assert authenticator.data["secret"] != secret
    recovery = RecoveryCodes(Authenticator.objects.get(user=user, type="recovery_codes"))
    assert recovery.get_unused_codes() == codes
    with organisation_scope(admin.organisation_id):
        provider = single_sign_on.provider_of(admin.organisation_id)
        assert provider is not None
        assert single_sign_on.client_of(provider).client_secret.reveal() == "hush"
