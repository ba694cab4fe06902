"""Signed heads leave the database: to the log, to a SIEM and to files, and prove there what the log was."""

import asyncio
import json
import os
import socketserver
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import psycopg
import pytest

from koppel.audit import scheduled_verification, tasks
from koppel.audit.chain import link_pending
from koppel.audit.scheduled_verification import verify_due_chains
from koppel.audit.signed_heads import all_signed_heads, sign_heads, undelivered_heads
from koppel.audit.signing_keys import UNREADABLE, HeadDocument, signing_keys
from koppel.cli.checks.audit_log import check_audit_log
from koppel.kit.database.embedded_postgres import Addresses
from koppel.kit.database.health.alarm_state import current_alarms
from koppel.kit.database.health.alarms import ActiveAlarm
from koppel.kit.http.siem_url import parse_siem_url
from koppel.kit.logging.redaction import redacted
from koppel.kit.tenancy import installation_scope
from koppel.organisations.roles import Actor
from tests.audit.factories import record_division, record_linked
from tests.fixtures.readiness import readiness_now


@pytest.fixture
def admin(actor: Any) -> Actor:
    return actor("administrator", name="Anna")  # type: ignore[no-any-return]


class Siem(BaseHTTPRequestHandler):
    """Takes heads by POST, after refusing the first."""

    received: list[Any]
    refusals: list[int]

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        status = self.refusals.pop() if self.refusals else 202
        if status == 202:
            self.received.extend(body)
        self.send_response(status)
        self.end_headers()

    def log_message(self, *_arguments: Any) -> None:
        """Silent."""


class Syslog(socketserver.StreamRequestHandler):
    received: list[bytes]

    def handle(self) -> None:
        rest = self.rfile.read()
        while rest:
            length, _blank, rest = rest.partition(b" ")
            self.received.append(rest[: int(length)])
            rest = rest[int(length) :]


@contextmanager
def serving(server: socketserver.TCPServer) -> Iterator[str]:
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


def test_each_signed_head_reaches_the_siem_once(admin: Actor, settings: Any) -> None:
    """By https, and again after a refusal; the line of the log is the same and still verifies."""
    record_linked(admin, "Noord")
    sign_heads(signing_keys())
    handler = type("Handler", (Siem,), {"received": [], "refusals": [500]})
    with serving(HTTPServer(("127.0.0.1", 0), handler)) as address:
        settings.AUDIT_SIEM_URL = f"http://{address}/heads"
        asyncio.run(tasks.deliver_heads())
        assert len(undelivered_heads()) == 1
        asyncio.run(tasks.deliver_heads())
        asyncio.run(tasks.deliver_heads())
    (sent,) = handler.received  # type: ignore[attr-defined]
    assert undelivered_heads() == []
    for received in (sent, redacted({**sent, "level": "info"})):
        document = HeadDocument.from_dict(json.loads(json.dumps(received)))
        assert document == all_signed_heads()[0]
        assert signing_keys().verifies(document)


def test_syslog_messages_are_framed(admin: Actor, settings: Any) -> None:
    record_linked(admin, "Noord")
    sign_heads(signing_keys())
    record_linked(admin, "Zuid")
    sign_heads(signing_keys())
    handler = type("Handler", (Syslog,), {"received": []})
    with serving(socketserver.TCPServer(("127.0.0.1", 0), handler)) as address:
        settings.AUDIT_SIEM_URL = f"syslog://{address}"
        asyncio.run(tasks.deliver_heads())
    assert undelivered_heads() == []
    messages = [message.decode() for message in handler.received]  # type: ignore[attr-defined]
    assert [message.startswith("<109>1 2") for message in messages] == [True, True]
    assert [json.loads(message[message.index("{") :])["length"] for message in messages] == [1, 2]


@pytest.mark.parametrize(
    "address", ["http://siem.example/", "ftp://siem.example", "https://", "siem.example"]
)
def test_an_address_that_is_not_encrypted_is_refused(address: str) -> None:
    with pytest.raises(ValueError, match=r"siem|https"):
        parse_siem_url(address)


def koppel(*words: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "koppel.cli", "audit", *words]
    return subprocess.run(
        command, capture_output=True, text=True, env={**os.environ, **variables}, check=False
    )


def test_the_command_finds_what_was_cut_off_and_a_new_key_vouches_for_nothing_old(
    admin: Actor, database_addresses: Addresses, tmp_path: Path
) -> None:
    record_linked(admin, "Noord", "Zuid")
    secrets = {
        name: os.environ[name] for name in ("KOPPEL_SECRET_KEY", "KOPPEL_VAULT_KEYS", "KOPPEL_AUDIT_KEYS")
    }
    (tmp_path / "secrets.json").write_text(json.dumps(secrets))
    home = {"KOPPEL_DATA_DIR": str(tmp_path), **dict.fromkeys(secrets, "")}
    heads = koppel("heads", **home)
    (tmp_path / "heads").write_text(f"Nov 30 host koppel: {heads.stdout}")
    (tmp_path / "keys").write_text(koppel("keys", "--json", **home).stdout.replace('"', " "))
    rotated = json.loads(koppel("rotate-key", "--json", **home).stdout)
    stored = json.loads((tmp_path / "secrets.json").read_text())["KOPPEL_AUDIT_KEYS"]
    assert [part.startswith("public:") for part in stored.split(",")] == [False, True], (
        "the old key signs no more"
    )
    done = koppel("verify", "--json", "--heads", str(tmp_path / "heads"), **home)
    answer = json.loads(done.stdout)
    assert (done.returncode, answer["verified"], answer["findings"]) == (0, True, []), done.stderr
    assert [(row["chain"] == 0, row["length"], row["signed"]) for row in answer["chains"]] == [
        (True, 1, 1),
        (False, 2, 2),
    ]
    with psycopg.connect(database_addresses.superuser_url) as superuser:
        for table in ("audit_link", "audit_entry", "audit_chain", "audit_signed_head"):
            superuser.execute(f"DELETE FROM {table} WHERE organisation_id <> 0".encode())
    assert koppel("verify", **home).returncode == 0
    done = koppel("verify", "--json", "--heads", str(tmp_path / "heads"), **home)
    assert (done.returncode, [one["code"] for one in json.loads(done.stdout)["findings"]]) == (
        1,
        ["truncated"],
    )
    with installation_scope("test"):
        assert [document.head.key for document in all_signed_heads()] == [rotated["former"]]
    only_new = tmp_path / "new"
    only_new.write_text(
        koppel("keys", "--json", **home).stdout.split('"signs": true')[1].split("}")[0].replace('"', " ")
    )
    done = koppel("verify", "--json", "--public-keys", str(only_new), **home)
    assert [one["code"] for one in json.loads(done.stdout)["findings"]] == ["signature_invalid"]


def problems() -> list[tuple[bool, str]]:
    """What `koppel check` says about the audit log, when something is to be done."""
    return [
        (finding.is_ok, finding.text)
        for finding in check_audit_log()
        if finding.is_advice or not finding.is_ok
    ]


def test_the_check_reports_what_is_not_signed_and_what_does_not_verify(
    admin: Actor, database_addresses: Addresses, settings: Any
) -> None:
    """Advice as long as the log may be whole, failures when it is not; and the installation stays ready."""
    record_linked(admin, "Noord")
    assert problems() == []
    with psycopg.connect(database_addresses.superuser_url, autocommit=True) as superuser:
        superuser.execute("UPDATE audit_link SET at = at - interval '3 hours'")
        assert [(well, "are not signed yet" in text) for well, text in problems()] == [(True, True)]
        sign_heads(signing_keys())
        assert problems() == []
        record_division(admin, "Never linked")
        superuser.execute("UPDATE audit_entry SET at = at - interval '3 hours'")
        assert [(well, "are not signed yet" in text) for well, text in problems()] == [(True, True)]
        link_pending()
        sign_heads(signing_keys())
        assert koppel("verify").returncode == 1, "The times were changed."
        assert [(well, "failed with" in text) for well, text in problems()] == [(False, True)]
        superuser.execute("UPDATE audit_link SET link = digest WHERE position = 2")
        assert any("rewritten (log" in text for _well, text in problems())
        superuser.execute("DELETE FROM audit_link WHERE position = 2")
        superuser.execute("UPDATE audit_chain SET length = 1 WHERE length = 2")
        assert any("truncated (log" in text for _well, text in problems())
    settings.AUDIT_KEYS = ""
    assert "No key signs" in problems()[0][1]
    settings.AUDIT_KEYS = "no base64"
    assert problems() == [(False, UNREADABLE)]
    assert readiness_now().is_ready


def test_a_later_verification_of_the_same_log_clears_a_failed_one(
    admin: Actor, database_addresses: Addresses
) -> None:
    record_linked(admin, "Noord")
    with psycopg.connect(database_addresses.superuser_url, autocommit=True) as superuser:
        superuser.execute("UPDATE audit_entry SET subject_name = 'x' WHERE subject_name = 'Noord'")
        chain = str(admin.organisation_id)
        assert [koppel("verify").returncode, koppel("verify", "--chain", "0").returncode] == [1, 0]
        assert problems(), "The chain that failed was not verified again."
        assert [(alarm.code, alarm.facts) for alarm in audit_alarms()] == [
            ("audit_log_broken", {"findings": 1})
        ]
        superuser.execute("UPDATE audit_entry SET subject_name = 'Noord' WHERE subject_name = 'x'")
    assert koppel("verify", "--chain", chain).returncode == 0
    assert (problems(), audit_alarms()) == ([], [])


def audit_alarms() -> list[ActiveAlarm]:
    """What operators are mailed about, and read in `koppel check`."""
    with installation_scope("test"):
        return [alarm for alarm in current_alarms() if alarm.code.startswith("audit")]


def last_verified() -> str:
    return list(check_audit_log())[-1].text


def test_workers_verify_each_log_weekly_and_the_check_names_the_last(
    admin: Actor, database_addresses: Addresses, monkeypatch: pytest.MonkeyPatch
) -> None:
    record_linked(admin, "Noord")
    sign_heads(signing_keys())
    assert "0 of" in last_verified()
    assert verify_due_chains(signing_keys()) >= 1
    assert "The last verification was at" in last_verified()
    link_pending()
    verify_due_chains(signing_keys())  # the installation's own log has its first entry now
    assert (problems(), verify_due_chains(signing_keys())) == ([], 0), "They are verified once a week."
    link_pending()
    with psycopg.connect(database_addresses.superuser_url, autocommit=True) as superuser:
        superuser.execute("UPDATE audit_entry SET subject_name = 'x' WHERE subject_name = 'Noord'")
        monkeypatch.setattr(scheduled_verification, "VERIFY_EVERY", timedelta(0))  # a week later
        tasks.verify_chains(timestamp=0)
    assert [(well, "failed with 1 findings" in text) for well, text in problems()] == [(False, True)]
