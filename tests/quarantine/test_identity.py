"""A database that is a copy is noticed; a promoted one and a machine that joins are none."""

import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from typer.testing import CliRunner

from koppel.cli.commands.quarantine import app
from koppel.kit import quarantine
from koppel.kit.database.embedded_postgres import Addresses
from koppel.kit.quarantine import Reason, installation_identity
from koppel.kit.quarantine.installation_identity import MachineIdentity, StoredIdentity, find_mismatch
from tests.fixtures.database import INSTALLATION_ID
from tests.quarantine.switch import koppel_quarantine

NOON = datetime(2026, 11, 30, 12, tzinfo=UTC)
STORED = StoredIdentity(uid="one", system_identifier="71", seen_at=NOON)
MACHINE = MachineIdentity("one", NOON)


@pytest.fixture
def session(
    clean_database: None, database_addresses: Addresses, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    """A session of the application on a machine with an empty data directory and no id in its settings."""
    monkeypatch.delenv(installation_identity.ID_VARIABLE)
    monkeypatch.setenv("KOPPEL_DATA_DIR", str(tmp_path))
    with (
        psycopg.connect(database_addresses.superuser_url, autocommit=True) as superuser,
        psycopg.connect(database_addresses.app_url, autocommit=True) as connection,
    ):
        yield connection
        superuser.execute(
            "UPDATE kit_installation_identity SET uid = %s, seen_at = NULL,"
            " system_identifier = (SELECT system_identifier FROM pg_control_system())",
            [INSTALLATION_ID],
        )


@pytest.mark.parametrize(
    ("machine", "server", "has_failover", "reason"),
    [
        (MACHINE, "71", False, None),
        (None, "71", False, Reason.MISSING_ID),
        (MachineIdentity("two"), "71", False, Reason.OTHER_ID),
        (MACHINE, "72", False, Reason.OTHER_SERVER),
        (MACHINE, "72", True, None),
        (MACHINE, "", False, None),
        (MachineIdentity("one", NOON + timedelta(minutes=4)), "71", False, None),
        (MachineIdentity("one", NOON + timedelta(minutes=6)), "71", False, Reason.OLDER),
        (MachineIdentity("one", NOON - timedelta(days=9)), "71", False, None),
    ],
)
def test_what_makes_a_copy(
    machine: MachineIdentity | None, server: str, has_failover: bool, reason: Reason | None
) -> None:
    assert find_mismatch(STORED, machine, server, has_failover=has_failover) is reason


def test_the_first_program_of_an_installation_writes_the_file(
    session: psycopg.Connection[tuple[object, ...]], tmp_path: Path
) -> None:
    session.execute("UPDATE kit_installation_identity SET system_identifier = ''")
    assert installation_identity.examine(session) is None
    file = tmp_path / "installation.json"
    assert json.loads(file.read_text())["id"] == INSTALLATION_ID
    assert file.stat().st_mode & 0o777 == 0o600
    assert installation_identity.examine(session) is None


def test_a_machine_without_the_file_joins_only_beside_accepted_programs(
    session: psycopg.Connection[tuple[object, ...]], database_addresses: Addresses, tmp_path: Path
) -> None:
    installation_identity.examine(session)
    (tmp_path / "installation.json").unlink(missing_ok=True)
    assert installation_identity.examine(session) is Reason.MISSING_ID
    with psycopg.connect(database_addresses.app_url, autocommit=True) as other:
        assert installation_identity.examine(session) is Reason.MISSING_ID
        installation_identity.accept(other)
        assert installation_identity.examine(session) is None
    assert json.loads((tmp_path / "installation.json").read_text())["id"] == INSTALLATION_ID


def test_a_database_that_was_set_back_is_noticed(
    session: psycopg.Connection[tuple[object, ...]], tmp_path: Path
) -> None:
    content = {"id": INSTALLATION_ID, "seen_at": None, "host": "elsewhere"}
    (tmp_path / "installation.json").write_text(json.dumps(content))
    installation_identity.record_seen(session)
    assert installation_identity.examine(session) is None
    assert installation_identity.first_host() == "elsewhere"
    session.execute("UPDATE kit_installation_identity SET seen_at = seen_at - interval '6 minutes'")
    assert installation_identity.examine(session) is Reason.OLDER


def test_a_copy_is_in_quarantine_until_it_is_adopted(
    session: psycopg.Connection[tuple[object, ...]], tmp_path: Path
) -> None:
    """No row is needed: only this process's machine does not belong to the database."""
    (tmp_path / "installation.json").write_text(json.dumps({"id": "other", "seen_at": None}))
    reader = quarantine.state._Reader()
    try:
        period = reader.read()
        assert period is not None
        assert (period.reason, "koppel adopt" in period.sentence) == (Reason.OTHER_ID, True)
        assert "copy of another installation" in str(quarantine.Quarantined(period))
        renewed = installation_identity.renew(session)
        assert renewed.uid != INSTALLATION_ID
        reader.forget()
        assert reader.read() is None
    finally:
        reader.close()


def test_off_does_not_end_the_quarantine_of_a_copy(clean_database: None) -> None:
    with psycopg.connect(os.environ["DATABASE_URL"]) as connection:
        connection.execute(
            "INSERT INTO kit_quarantine (began_by, ended_by, sends_pending, reason)"
            " VALUES ('root', '', false, 'restored')"
        )
    quarantine.forget()
    assert koppel_quarantine("status")["reason"] == "restored"
    refusal = CliRunner().invoke(app, ["off"]).exception
    assert "koppel adopt" in str(refusal)
    assert koppel_quarantine("status")["quarantine"] == "on"
