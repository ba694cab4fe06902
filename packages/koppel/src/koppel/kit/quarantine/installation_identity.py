"""Which installation a database is, compared with what the machine outside it says.

The database has an id, the identifier of the server that it ran on, and the moment at which a program was
last seen. A file of the data directory has the same id and moment. A copy of the database differs in one of
them, unless the whole machine was copied.

A machine without the id, or with that of before an adoption, joins an installation whose accepted programs
are connected to the same database.
"""

import json
import os
import socket
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import structlog

from koppel.kit.database.embedded_postgres import write_private
from koppel.kit.database.replication import hosts_of
from koppel.kit.quarantine.reasons import Reason

ID_VARIABLE = "KOPPEL_INSTALLATION_ID"
FILE = "installation.json"
ACCEPTED_NAME = "koppel installation"
"""Name of the session of a process that belongs to the installation of its database."""
SEEN_SECONDS = 60
OLDER_THAN = timedelta(minutes=5)
"""So far a database may be behind the file: a standby that was promoted lacks the last seconds."""

_STORED = "SELECT uid::text, system_identifier, seen_at FROM kit_installation_identity"
_SERVER = "SELECT system_identifier::text FROM pg_control_system()"
_FIRST = """
UPDATE kit_installation_identity SET system_identifier = %s, seen_at = now() WHERE system_identifier = ''
"""
_SEEN = """
UPDATE kit_installation_identity SET seen_at = now()
 WHERE seen_at IS NULL OR seen_at < now() - make_interval(secs => %s)
"""
_RENEWED = """
UPDATE kit_installation_identity SET uid = %s, system_identifier = %s, seen_at = now()
RETURNING uid::text, system_identifier, seen_at
"""
_OTHERS = """
SELECT EXISTS (SELECT FROM pg_stat_activity WHERE application_name = %s AND usename = current_user
  AND datname = current_database() AND pid <> pg_backend_pid())
"""

log = structlog.get_logger(__name__)
Connection = psycopg.Connection[Any]


@dataclass(frozen=True)
class StoredIdentity:
    """What the database says. `system_identifier` is '' until the first program started."""

    uid: str
    system_identifier: str
    seen_at: datetime | None


@dataclass(frozen=True)
class MachineIdentity:
    """What a machine says outside the database."""

    uid: str
    seen_at: datetime | None = None


def find_mismatch(
    stored: StoredIdentity, machine: MachineIdentity | None, server: str, *, has_failover: bool
) -> Reason | None:
    """Return why the database is a copy, or None. `server`: its system identifier, '' when unreadable."""
    if server and stored.system_identifier not in ("", server) and not has_failover:
        return Reason.OTHER_SERVER
    if machine is None:
        return Reason.MISSING_ID
    if machine.uid != stored.uid:
        return Reason.OTHER_ID
    if machine.seen_at and stored.seen_at and machine.seen_at - stored.seen_at > OLDER_THAN:
        return Reason.OLDER
    return None


def examine(connection: Connection) -> Reason | None:
    """Compare the database with this machine; the first program of an installation, and machines that join a
    running one, write the file. Return why the database is a copy, or None.
    """
    if not _file() and not os.environ.get(ID_VARIABLE):
        return None
    row = connection.execute(_STORED).fetchone()
    if row is None:
        return None
    stored, server = StoredIdentity(*row), _system_identifier(connection)
    if not stored.system_identifier and server:
        connection.execute(_FIRST, [server])
        _write_file(read_stored(connection))
        return None
    reason = find_mismatch(stored, read_machine(), server, has_failover=_has_failover())
    may_join = reason in (Reason.MISSING_ID, Reason.OTHER_ID) and not os.environ.get(ID_VARIABLE)
    if may_join and _has_others(connection):
        _write_file(stored)
        return None
    return reason


def accept(connection: Connection) -> None:
    """Name the session, so that machines that join see it."""
    connection.execute("SELECT set_config('application_name', %s, false)", [ACCEPTED_NAME])


def record_seen(connection: Connection) -> None:
    """Write the present moment to the database and to the file."""
    try:
        connection.execute(_SEEN, [SEEN_SECONDS - 5])
    except psycopg.errors.ReadOnlySqlTransaction:
        return
    _write_file(read_stored(connection))


def renew(connection: Connection) -> StoredIdentity:
    """Make the database an installation of its own on this server, and this machine a part of it."""
    uid = os.environ.get(ID_VARIABLE) or str(uuid4())
    row = connection.execute(_RENEWED, [uid, _system_identifier(connection)]).fetchone()
    stored = StoredIdentity(*(row or (uid, "", None)))
    if (file := _file()) is not None:
        file.unlink(missing_ok=True)
    _write_file(stored)
    return stored


def read_stored(connection: Connection) -> StoredIdentity:
    """Return what the database says."""
    return StoredIdentity(*(connection.execute(_STORED).fetchone() or ("", "", None)))


def read_machine() -> MachineIdentity | None:
    """Return what this machine says: `KOPPEL_INSTALLATION_ID`, else the file; None when neither does."""
    uid = os.environ.get(ID_VARIABLE, "").strip().lower()
    try:
        file = json.loads((_file() or Path()).read_text())
        seen_at = datetime.fromisoformat(file["seen_at"]) if file.get("seen_at") else None
        stored = MachineIdentity(str(file["id"]), seen_at)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return MachineIdentity(uid) if uid else None
    # The moment is that of the file's own installation.
    return stored if uid in ("", stored.uid) else MachineIdentity(uid)


def first_host() -> str:
    """Return the name of the machine that wrote the file first; '' without a file."""
    try:
        return str(json.loads((_file() or Path()).read_text())["host"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def _file() -> Path | None:
    home = os.environ.get("KOPPEL_DATA_DIR", "")
    return Path(home) / FILE if home else None


def _write_file(stored: StoredIdentity) -> None:
    file = _file()
    if file is None:
        return
    content = {
        "id": stored.uid,
        "seen_at": stored.seen_at.isoformat() if stored.seen_at else None,
        "host": first_host() or socket.gethostname(),
    }
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_private(file, json.dumps(content, indent=1))
        if os.geteuid() == 0:  # a command that root types; the service has another account
            owner = file.parent.stat()
            os.chown(file, owner.st_uid, owner.st_gid)
    except OSError as error:
        log.warning("installation_file_not_written", file=str(file), reason=error.strerror)


def _system_identifier(connection: Connection) -> str:
    """Return the identifier of the server; '' when the role may not read it."""
    try:
        row = connection.execute(_SERVER).fetchone()
    except psycopg.errors.InsufficientPrivilege:
        return ""
    return str(row[0]) if row else ""


def _has_failover() -> bool:
    """Return whether DATABASE_URL names several hosts."""
    return len(hosts_of(os.environ.get("DATABASE_URL", ""))) > 1


def _has_others(connection: Connection) -> bool:
    row = connection.execute(_OTHERS, [ACCEPTED_NAME]).fetchone()
    return bool(row and row[0])
