"""Backup and restore by the commands of docs/operations.md preserve everything."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from koppel.books.sql_access import readers
from koppel.kit.database.embedded_postgres import Addresses, EmbeddedPostgres
from koppel.kit.database.embedded_postgres.binaries import Binaries, find_binaries
from koppel.kit.tenancy import organisation_scope, set_scope_sql
from tests.backup.factories import write_identity
from tests.books.factories import Ledger, administration_of
from tests.fixtures.environment import REPOSITORY
from tests.fixtures.requirements import DEBIAN_POSTGRESQL, skip_without
from tests.web.factories import World, build_world

pytestmark = pytest.mark.drill

LINES, ADMINISTRATIONS = 50_000, 7
SECRET = "a-secret-of-the-server"
KOPPEL = (sys.executable, "-m", "koppel.cli")
RESTORE_ENTRIES = "SELECT actor_kind, interface FROM audit_entry WHERE action = 'quarantine.restored'"
ADDED_BY_RESTORE = ("kit_quarantine", "audit_entry", "audit_pending_link")
Snapshot = dict[str, Any]


@pytest.fixture
def firm(actor: Any, database_addresses: Addresses) -> World:
    """A firm in the middle of its work, with the entry lines of seven administrations in as many partitions
    as they fall.
    """
    world = build_world(actor)
    administrations = [
        administration_of(world.admin, f"Cliënt {number}") for number in range(ADMINISTRATIONS)
    ]
    for administration in administrations:
        ledger = Ledger(administration)
        ledger.account("1000", "Kas & bank")
        ledger.entry("1", "202601", ("1000", "250.1234", "0"), ("8000", "0", "250.1234"))
        ledger.balance("1000", "202601", "0", "250.1234")
    with psycopg.connect(database_addresses.superuser_url) as connection:
        connection.execute(
            "SET session_replication_role = replica"
        )  # the rows have the entry that was made above
        connection.execute(_MORE_LINES, [LINES, [administration.pk for administration in administrations]])
    return world


@pytest.fixture
def reader(firm: World, database_addresses: Addresses) -> Iterator[str]:
    """The role of a program that reads this firm's books by SQL."""
    administrator = database_addresses.superuser_url
    with organisation_scope(firm.admin.organisation_id):
        yield readers.add_reader(firm.admin, "bi", administrator_url=administrator).url.reveal()
    with organisation_scope(firm.admin.organisation_id):
        readers.remove_reader(firm.admin, "bi", administrator_url=administrator)


def test_the_embedded_server_is_restored_into_another_data_directory(
    firm: World, reader: str, database_addresses: Addresses, tmp_path: Path, free_port: int
) -> None:
    """As the manual says, encrypted: every table, sequence, right and policy, and the reader's password."""
    commands = code_after("*The embedded server*")[0]
    identity = write_identity(tmp_path / "backup.key")
    before = snapshot(database_addresses.superuser_url)
    assert before["rows"]["books_entry_line"][0] >= LINES
    backup = _back_up(database_addresses, tmp_path / "backups", "--encrypt-to", identity, "--without-keys")
    (tmp_path / "somewhere-safe").mkdir()
    (tmp_path / "somewhere-safe" / "secrets.json").write_text(json.dumps(_keys()))
    command = f"{backup} --identity {tmp_path / 'backup.key'}"
    _run(commands.replace("BACKUP", command), tmp_path, **_without_settings())

    with EmbeddedPostgres(tmp_path / "data-new" / "postgres", durable=False) as server:
        assert_same(snapshot(server.addresses.superuser_url), before)
        _is_in_use(server.addresses, firm, free_port)
        reader_url = re.sub(r"@.*", server.addresses.app_url[server.addresses.app_url.rindex("@") :], reader)
        with psycopg.connect(reader_url) as connection:
            assert connection.execute("SELECT count(*) FROM books.entry_lines").fetchone() == (
                before["rows"]["books_entry_line"][0],
            )


def test_debians_server_is_restored_into_itself_and_into_the_newer_embedded_one(
    firm: World,
    database_addresses: Addresses,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    free_port: int,
) -> None:
    programs = _debian()
    newest = find_binaries().major
    roles, create_and_restore = (
        code_after("*A PostgreSQL of your own* needs")[0],
        code_after("*A PostgreSQL of your own*, ")[0],
    )
    with monkeypatch.context() as patched:
        patched.setattr("koppel.kit.database.embedded_postgres.server.find_binaries", lambda: programs)
        server = EmbeddedPostgres(tmp_path / "postgres", durable=False)
        server.start()
    try:
        _fill(server.addresses, database_addresses)
        with psycopg.connect(server.addresses.superuser_url, autocommit=True) as connection:
            connection.execute(roles.replace("SECRET", SECRET).encode())
            connection.execute(f"ALTER ROLE postgres PASSWORD '{SECRET}'".encode())
        host = server.addresses.app_url.partition("@")[2].partition("/")[0]
        superuser_url = f"postgresql://postgres:{SECRET}@{host}/koppel"
        before = snapshot(superuser_url)
        assert before["rows"]["books_entry_line"][0] >= LINES
        source = Addresses(
            app_url=server.addresses.app_url,
            owner_url=server.addresses.owner_url,
            superuser_url=f"postgresql://koppel_backup:{SECRET}@{host}/koppel",
        )
        restored = Addresses(
            app_url=f"{server.addresses.app_url}_restored",
            owner_url=f"{server.addresses.owner_url}_restored",
            superuser_url=f"{superuser_url}_restored",
        )
        path = f"{programs.directory}:{Path(sys.executable).parent}:{os.environ['PATH']}"
        same = _back_up(source, tmp_path / "same")
        commands = create_and_restore.replace("SECRET", SECRET).replace("HOST", host)
        _run(
            commands.replace("BACKUP", str(same)),
            tmp_path,
            **{**_environment(restored), "PATH": path, "KOPPEL_DATA_DIR": str(tmp_path / "data-same")},
        )
        assert_same(snapshot(restored.superuser_url), before)
        _is_in_use(restored, firm, free_port)

        newer = _back_up(source, tmp_path / "newer", "--for-postgresql", str(newest))
        refusal = _restore(
            newer,
            {**_environment(restored), "KOPPEL_DATA_DIR": str(tmp_path / "unused")},
            "--administrator-url",
            superuser_url,
        )
        assert (refusal.returncode, "overwrites none" in refusal.stderr) == (2, True), refusal.stderr
        with psycopg.connect(superuser_url, autocommit=True) as connection:
            connection.execute("CREATE DATABASE koppel_other OWNER koppel_owner")
        other = Addresses(*(url.replace("_restored", "_other") for url in _urls(restored)))
        refusal = _restore(
            newer,
            {**_environment(other), "KOPPEL_DATA_DIR": str(tmp_path / "unused")},
            "--administrator-url",
            superuser_url,
        )
        assert refusal.returncode == 2, refusal.stderr
        assert f"needs PostgreSQL {newest} or newer, and this server is {programs.major}" in refusal.stderr
        with psycopg.connect(other.superuser_url) as connection:
            assert connection.execute(
                "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"
            ).fetchone() == (0,)
    finally:
        server.stop()
    done = _restore(newer, {**_without_settings(), **_keys()}, "--data-dir", str(tmp_path / "moved"))
    assert done.returncode == 0, done.stderr
    with EmbeddedPostgres(tmp_path / "moved" / "postgres", durable=False) as moved:
        # The newer version prints the same views in other words.
        assert_same(snapshot(moved.addresses.superuser_url) | {"views": []}, before | {"views": []})
        _is_in_use(moved.addresses, firm, free_port)


def _comparable(content: Any) -> Any:
    """Without the quarantine and the audit entries that a restore adds, and without what newer versions list
    besides: constraints NOT NULL, and the right MAINTAIN.
    """
    if isinstance(content, dict):
        return {name: row for name, row in content.items() if not name.startswith(ADDED_BY_RESTORE)}
    return [
        tuple(
            [right for right in cell if "MAINTAIN" not in right] if isinstance(cell, list) else cell
            for cell in row
        )
        for row in content
        if not any(str(cell).startswith("NOT NULL ") for cell in row)
    ]


def _back_up(source: Addresses, directory: Path, *arguments: str) -> Path:
    """The folder of a new backup."""
    environment = {**_environment(source), "KOPPEL_BACKUP_DATABASE_URL": source.superuser_url}
    done = subprocess.run(
        [*KOPPEL, "backup", "--json", "--to", str(directory), *arguments],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return Path(json.loads(done.stdout)["backup"])


def _restore(backup: Path, environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [*KOPPEL, "restore", str(backup), *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def _environment(addresses: Addresses) -> dict[str, str]:
    return {
        **os.environ,
        "DATABASE_URL": addresses.app_url,
        "KOPPEL_OWNER_DATABASE_URL": addresses.owner_url,
    }


def _without_settings() -> dict[str, str]:
    """Of a shell that knows no database and no keys, but this Koppel."""
    plain = {
        name: text for name, text in os.environ.items() if not name.startswith(("KOPPEL_", "DATABASE_URL"))
    }
    return {**plain, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}


def _keys() -> dict[str, str]:
    return {name: os.environ[name] for name in ("KOPPEL_SECRET_KEY", "KOPPEL_VAULT_KEYS")}


def _urls(addresses: Addresses) -> tuple[str, str, str]:
    return addresses.app_url, addresses.owner_url, addresses.superuser_url


def code_after(words: str) -> list[str]:
    """The code blocks of the manual that follow these words, up to the next heading."""
    after = (REPOSITORY / "docs" / "operations.md").read_text().partition(words)[2]
    section = re.split(r"^##+ ", after, maxsplit=1, flags=re.MULTILINE)[0]
    return re.findall(r"^```[^\n]*\n(.*?)^```$", section, re.DOTALL | re.MULTILINE)


def snapshot(superuser_url: str) -> Snapshot:
    """All that a restore must bring back: rows, sequences, rights, policies, and what else the database is
    made of.
    """
    with psycopg.connect(superuser_url) as connection:
        connection.execute("SET TIME ZONE 'UTC'")
        tables = [name for (name,) in connection.execute(_TABLES).fetchall()]
        sequences = [name for (name,) in connection.execute(_SEQUENCES).fetchall()]
        contents: Snapshot = {"rows": {}, "sequences": {}}
        for name in tables:
            question = sql.SQL("SELECT count(*), sum(hashtextextended(t::text, 0)::numeric) FROM {} t")
            contents["rows"][name] = connection.execute(question.format(_name(name))).fetchone()
        for name in sequences:
            question = sql.SQL("SELECT last_value, is_called FROM {}").format(_name(name))
            contents["sequences"][name] = connection.execute(question).fetchone()
        for topic, question in _MADE_OF.items():
            contents[topic] = connection.execute(question.encode()).fetchall()
    assert sum(1 for count, _sum in contents["rows"].values() if count) >= 25
    return contents


def assert_same(restored: Snapshot, before: Snapshot) -> None:
    for topic in before:
        was, is_now = (_comparable(contents[topic]) for contents in (before, restored))
        wrong = [
            key for key in was if key not in is_now or (isinstance(was, dict) and is_now[key] != was[key])
        ]
        assert not wrong, f"{topic}: {wrong[:5]}"
        assert len(is_now) == len(was), topic


def _is_in_use(addresses: Addresses, firm: World, port: int) -> None:
    """The application reads its own firm under the policies and no row without a scope; `koppel check` finds
    nothing wrong.
    """
    with psycopg.connect(addresses.app_url) as connection:
        connection.execute(*set_scope_sql(firm.admin.organisation_id))
        assert connection.execute("SELECT count(*) FROM books_entry_line").fetchone() == (
            LINES + 2 * ADMINISTRATIONS,
        )
        assert connection.execute(RESTORE_ENTRIES).fetchall() == [("operator", "cli")]
        connection.execute(*set_scope_sql(firm.admin.organisation_id + 1000))
        assert connection.execute("SELECT count(*) FROM books_entry_line").fetchone() == (0,)
    with (
        psycopg.connect(addresses.app_url) as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        connection.execute("SELECT count(*) FROM books_entry_line")
    _koppel("check", addresses, "--port", str(port))


def _koppel(command: str, addresses: Addresses, *arguments: str) -> None:
    done = subprocess.run(
        [*KOPPEL, command, *arguments],
        env=_environment(addresses),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def _run(commands: str, folder: Path, **environment: str) -> None:
    """As somebody types them; the first that fails is the end."""
    done = subprocess.run(
        ["bash", "-eu", "-o", "pipefail", "-c", commands],
        cwd=folder,
        env=environment or dict(os.environ),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def _debian() -> Binaries:
    """The system's own PostgreSQL."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda folder: int(folder.parent.name))
    if not folders:
        skip_without(DEBIAN_POSTGRESQL)
    return Binaries(folders[-1], (int(folders[-1].parent.name), 0))


def _fill(target: Addresses, source: Addresses) -> None:
    """The firm's database on an older PostgreSQL, by the programs of the newer one.

    It has no such setting, and other functions.
    """
    programs = find_binaries()
    commands = (
        f"{programs.program('pg_dump')} --exclude-schema=pg_catalog -d {source.superuser_url}"
        " | sed '/^SET transaction_timeout/d'"
        f" | {programs.program('psql')} -q -v ON_ERROR_STOP=1 -o /dev/null -d {target.superuser_url}"
    )
    _run(commands, Path("/"))


def _name(qualified: str) -> sql.Identifier:
    return sql.Identifier(*qualified.split(".")) if "." in qualified else sql.Identifier(qualified)


_MORE_LINES = """
INSERT INTO books_entry_line (organisation_id, administration_id, external_id, partition, raw, content_hash,
  first_seen,
                              last_changed, entry, line_number, account, debit, credit)
SELECT own.organisation_id, own.id, 'L' || n, '202601', convert_to('{"n": ' || n || '}', 'UTF8'),
       sha256(n::text::bytea), now(), now(), 'GL1', n + 2, '1000', n / 100.0, 0
  FROM generate_series(1, %s) n
  JOIN administrations_administration own ON own.id = (%s::bigint[])[1 + n %% 7]
"""
_OWN_SCHEMAS = "n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'information_schema'"
_TABLES = f"""
SELECT CASE n.nspname WHEN 'public' THEN c.relname ELSE n.nspname || '.' || c.relname END
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND {_OWN_SCHEMAS} ORDER BY 1
"""
_SEQUENCES = f"""
SELECT CASE n.nspname WHEN 'public' THEN c.relname ELSE n.nspname || '.' || c.relname END
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind = 'S'
    AND {_OWN_SCHEMAS} ORDER BY 1
"""
_MADE_OF = {
    "relations": f"""
        SELECT n.nspname, c.relname, c.relkind, c.relpersistence, c.relrowsecurity, c.relforcerowsecurity,
               pg_get_userbyid(c.relowner), (SELECT array_agg(rights::text ORDER BY rights::text) FROM (
                 SELECT pg_get_userbyid(grantor), pg_get_userbyid(nullif(grantee, 0)), privilege_type,
                   is_grantable
                   FROM aclexplode(coalesce(
                   c.relacl,
                   acldefault(CASE c.relkind WHEN 'S' THEN 's'::"char" ELSE 'r'::"char" END,
                     c.relowner)))) rights)
          FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE {_OWN_SCHEMAS} ORDER BY 1, 2""",
    "policies": "SELECT * FROM pg_policies ORDER BY schemaname, tablename, policyname",
    "constraints": f"""
        SELECT c.conrelid::regclass::text, c.conname, pg_get_constraintdef(c.oid), c.convalidated
          FROM pg_constraint c JOIN pg_namespace n ON n.oid = c.connamespace
            WHERE {_OWN_SCHEMAS} ORDER BY 1, 2, 3""",
    "functions": f"""
        SELECT n.nspname, p.proname, pg_get_functiondef(p.oid), pg_get_userbyid(p.proowner),
               (SELECT array_agg(rights::text ORDER BY rights::text) FROM (
                 SELECT pg_get_userbyid(nullif(grantee, 0)), privilege_type FROM aclexplode(
                   coalesce(p.proacl, acldefault('f', p.proowner)))) rights)
          FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
         WHERE p.prokind = 'f' AND {_OWN_SCHEMAS} ORDER BY 1, 2, 3""",
    "triggers": "SELECT tgrelid::regclass::text, pg_get_triggerdef(oid), tgenabled FROM pg_trigger "
    "WHERE NOT tgisinternal"
    " ORDER BY 1, 2",
    "views": f"""
        SELECT n.nspname, c.relname, pg_get_viewdef(c.oid), c.reloptions
          FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE c.relkind = 'v' AND {_OWN_SCHEMAS} ORDER BY 1, 2""",
    "schemas": f"""
        SELECT n.nspname, (SELECT array_agg(rights::text ORDER BY rights::text) FROM (
                 SELECT pg_get_userbyid(nullif(grantee, 0)), privilege_type FROM aclexplode(
                   coalesce(n.nspacl, acldefault('n', n.nspowner)))) rights)
          FROM pg_namespace n WHERE {_OWN_SCHEMAS} ORDER BY 1""",
}
