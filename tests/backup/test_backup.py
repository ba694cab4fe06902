"""`koppel backup`, and what `koppel restore` refuses before it writes anything."""

import json
import os
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from koppel.cli.backup import programs as client_programs
from koppel.cli.backup.age_encryption import parse_recipients, read_decrypted
from koppel.cli.backup.creation import BackupOptions, create_backup
from koppel.cli.backup.manifest import PARTIAL, read_manifest
from koppel.cli.backup.programs import ClientPrograms, programs_to_dump
from koppel.cli.backup.restoration import (
    Backup,
    open_backup,
    programs_for,
    require_known_migrations,
    target_secrets,
)
from koppel.cli.backup.targets import restore_embedded, restore_external
from koppel.cli.preparation import migrations_of_this_version
from koppel.kit.cli.errors import CommandError
from koppel.kit.database.embedded_postgres import Addresses
from tests.backup.factories import write_identity

Written = tuple[Path, Path]


@pytest.fixture(scope="module")
def written(
    django_db_setup: None, database_addresses: Addresses, tmp_path_factory: pytest.TempPathFactory
) -> Written:
    """An encrypted backup of this session's database, and the file with its private key."""
    folder = tmp_path_factory.mktemp("backup")
    public_key = write_identity(folder / "key")
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("KOPPEL_BACKUP_DATABASE_URL", database_addresses.superuser_url)
        (folder / "backups" / f"koppel-20260101T000000Z{PARTIAL}").mkdir(parents=True)
        options = BackupOptions(folder / "backups", recipients=(public_key,), with_secrets=True)
        backup = create_backup(options)
    assert [one.name for one in (folder / "backups").iterdir() if one.is_dir()] == [backup.folder.name]
    return backup.folder, folder / "key"


@pytest.fixture
def opened(written: Written) -> Backup:
    return open_backup(*written)


@pytest.fixture
def copied(written: Written, tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    return shutil.copytree(written[0], tmp_path / written[0].name)


def test_an_encrypted_backup_holds_database_contents_and_keys(written: Written, opened: Backup) -> None:
    folder, _key = written
    assert sorted(file.name for file in folder.iterdir()) == [
        "contents.json.age",
        "database.dump.age",
        "manifest.json",
        "secrets.json.age",
    ]
    assert {file.stat().st_mode & 0o777 for file in folder.iterdir()} == {0o600}
    assert all(file.read_bytes().startswith(b"age-encryption.org/v1") for file in folder.glob("*.age"))
    assert json.loads(opened.secrets())["KOPPEL_VAULT_KEYS"] == os.environ["KOPPEL_VAULT_KEYS"]
    assert opened.contents.rows["public.kit_installation"] == 1
    assert opened.contents.rows["public.books_entry_line"] == 0
    assert opened.contents.settings["KOPPEL_PUBLIC_URL"] == "http://localhost:8400"
    open_text = (folder / "manifest.json").read_text()
    assert not [secret for secret in json.loads(opened.secrets()).values() if secret in open_text]
    assert read_decrypted(folder / "database.dump.age", written[1])[:5] == b"PGDMP"


def test_another_key_opens_nothing(written: Written, tmp_path: Path) -> None:
    write_identity(tmp_path / "other")
    with pytest.raises(CommandError, match="does not open with the key"):
        open_backup(written[0], tmp_path / "other")
    with pytest.raises(CommandError, match="give the file with the private key with --identity"):
        open_backup(written[0], None)


@pytest.mark.parametrize("name", ["database.dump.age", "contents.json.age", "secrets.json.age"])
def test_a_damaged_file_is_noticed(written: Written, copied: Path, name: str) -> None:
    content = bytearray((copied / name).read_bytes())
    content[-1] ^= 1
    (copied / name).write_bytes(content)
    with pytest.raises(CommandError, match=f"{re.escape(name)} is damaged"):
        open_backup(copied, written[1])
    (copied / name).unlink()
    with pytest.raises(CommandError, match=f"{re.escape(name)} cannot be read"):
        open_backup(copied, written[1])


def test_what_is_no_backup_is_refused(copied: Path, tmp_path: Path) -> None:
    for folder, sentence in (
        (tmp_path / "absent", "is no backup of Koppel"),
        (tmp_path / f"koppel-20260101T000000Z{PARTIAL}", "was not completed"),
    ):
        with pytest.raises(CommandError, match=sentence):
            read_manifest(folder)
    stored = json.loads((copied / "manifest.json").read_text())
    for change, sentence in (
        ({"format": 2}, "has format 2 and this Koppel reads 1"),
        ({"files": [{"name": "../x", "bytes": 1, "sha256": ""}]}, "no name of a file"),
        ({"pg_dump": None, "surprise": 1}, "cannot be read"),
    ):
        (copied / "manifest.json").write_text(json.dumps(stored | change))
        with pytest.raises(CommandError, match=sentence):
            read_manifest(copied)


def test_keys_of_another_installation_are_refused(opened: Backup, tmp_path: Path) -> None:
    other = {"KOPPEL_VAULT_KEYS": "test:" + "QkJC" * 10 + "QkI="}
    with pytest.raises(CommandError, match="KOPPEL_VAULT_KEYS belongs to another installation"):
        target_secrets(opened, tmp_path, other, without_keys=False)
    (tmp_path / "secrets.json").write_text(json.dumps(other))
    with pytest.raises(CommandError, match=r"secrets\.json belongs to another installation"):
        target_secrets(opened, tmp_path, {}, without_keys=False)
    (tmp_path / "secrets.json").write_text("{")
    with pytest.raises(CommandError, match="cannot be read"):
        target_secrets(opened, tmp_path, {}, without_keys=False)


def test_the_keys_of_the_backup_are_used_where_there_are_none(opened: Backup, tmp_path: Path) -> None:
    assert target_secrets(opened, tmp_path, {}, without_keys=False) == opened.secrets()
    (tmp_path / "secrets.json").write_bytes(opened.secrets())
    assert target_secrets(opened, tmp_path, {}, without_keys=False) == b""
    (tmp_path / "secrets.json").unlink()
    files = tuple(file for file in opened.manifest.files if "secrets" not in file.name)
    without = replace(opened, manifest=replace(opened.manifest, files=files))
    with pytest.raises(CommandError, match="The backup has no keys"):
        target_secrets(without, tmp_path, {}, without_keys=False)
    assert target_secrets(without, tmp_path, {}, without_keys=True) == b""


def test_what_lives_is_not_overwritten(opened: Backup, database_addresses: Addresses, tmp_path: Path) -> None:
    (tmp_path / "postgres" / "cluster").mkdir(parents=True)
    with pytest.raises(CommandError, match="a restore overwrites none"):
        restore_embedded(opened, tmp_path, b"", by="root")
    with pytest.raises(CommandError, match=r"koppel has \d+ tables, and a restore overwrites none"):
        restore_external(opened, database_addresses.superuser_url, by="root")


def test_an_older_postgresql_or_koppel_is_refused(opened: Backup) -> None:
    with pytest.raises(CommandError, match="needs PostgreSQL 18 or newer, and this server is 15"):
        programs_for(replace(opened.manifest, postgresql=15, pg_dump=18), 15)
    present = migrations_of_this_version()
    require_known_migrations(opened.contents, present)
    with pytest.raises(CommandError, match=r"made by a newer Koppel: it has the migration kit\.0002_more"):
        require_known_migrations(
            replace(opened.contents, migrations=("kit.0001_initial", "kit.0002_more")), present
        )


def test_programs_of_the_fitting_version_are_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    installed = [ClientPrograms(Path(f"/{major}"), major) for major in (15, 16, 18)]
    monkeypatch.setattr(client_programs, "installed_programs", lambda: installed)
    assert [programs_to_dump(server, None).major for server in (15, 16, 17, 18)] == [15, 16, 18, 18]
    assert programs_to_dump(15, 18).major == 18
    with pytest.raises(CommandError, match="postgresql-client-19"):
        programs_to_dump(19, None)
    assert client_programs.programs_to_restore(15, 16).major == 15
    assert client_programs.programs_to_restore(18, 18).major == 18
    monkeypatch.setattr(client_programs, "installed_programs", lambda: installed[2:])
    with pytest.raises(CommandError, match="postgresql-client-16"):
        client_programs.programs_to_restore(15, 16)


def test_a_password_is_not_on_the_command_line() -> None:
    url = "postgresql://postgres:very-secret@127.0.0.1:1/koppel"
    command = ClientPrograms(Path("/p"), 18).command("pg_dump", url)
    assert "very-secret" not in " ".join(command)
    assert client_programs.password_environment(url)["PGPASSWORD"] == "very-secret"


def test_recipients_are_public_keys(tmp_path: Path) -> None:
    public_key = write_identity(tmp_path / "key")
    assert parse_recipients(f" {public_key}, ") == (public_key,)
    private_key = (tmp_path / "key").read_text().split()[-1]
    for text, sentence in ((private_key, "is a private key"), ("age1x", "no public key")):
        with pytest.raises(CommandError, match=sentence) as refusal:
            parse_recipients(text)
        assert private_key not in str(refusal.value)


def test_a_backup_needs_a_role_that_reads_all_rows(
    monkeypatch: pytest.MonkeyPatch, database_addresses: Addresses, tmp_path: Path
) -> None:
    options = BackupOptions(tmp_path)
    monkeypatch.setenv("KOPPEL_BACKUP_DATABASE_URL", database_addresses.owner_url)
    with pytest.raises(CommandError, match="koppel_owner of KOPPEL_BACKUP_DATABASE_URL does not read all"):
        create_backup(options)
    assert [file.name for file in tmp_path.iterdir()] == [".lock"]
    monkeypatch.delenv("KOPPEL_BACKUP_DATABASE_URL")
    with pytest.raises(CommandError, match="KOPPEL_BACKUP_DATABASE_URL is not set"):
        create_backup(options)
