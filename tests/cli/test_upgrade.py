"""The newest release is installed as it was, used, upgraded to this tree as docs/operations.md says, and
restored.
"""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row

from koppel.cli.demo.http_browser import Browser
from koppel.kit.database.embedded_postgres import EmbeddedPostgres, choose_free_port
from tests.cli.installations import DISTRIBUTIONS, Installation, build_wheels, install, install_release
from tests.cli.sites import Site, copy_package
from tests.cli.test_releases import RELEASES
from tests.fixtures.requirements import RELEASE, skip_without
from tests.fixtures.stack import Sandbox, run_sandbox, wait_until

pytestmark = pytest.mark.drill

COMPANIES, LINES = 3, 120
VOLATILE = ("auth_permission", "django_content_type", "django_migrations", "django_session", "procrastinate_")
"""Tables that every start or migration changes."""
RENORMALISED = ("last_changed", "content_hash")
"""Columns of the books that a newer version of normalisation changes."""
IMPORT = """
import json, sys
from koppel.cli.demo.smoke_run import SmokeRun, run
from koppel.cli.stack import DemoAccounts, SignIn
facts = json.loads(sys.argv[3])
people = tuple(SignIn(**person) for person in facts["people"])
accounts = DemoAccounts(people, facts["sandbox_user"], facts["sandbox_password"])
sys.exit(run(SmokeRun(sys.argv[1], sys.argv[2], accounts, lambda: None, 120), as_json=True))
"""
MIGRATION = """
from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("sync", "{last}")]
    operations = [migrations.RunSQL("ALTER TABLE sync_run ADD COLUMN of_the_next_version text")]
"""
Rows = dict[str, list[dict[str, Any]]]


@pytest.fixture
def old(tmp_path: Path) -> Installation:
    if not RELEASES:
        skip_without(RELEASE)
    return install_release(RELEASES[-1], tmp_path / "installation")


@pytest.fixture
def sandbox(old: Installation) -> Iterator[Sandbox]:
    """The accounting system, which knows nothing of the upgrade."""
    with run_sandbox(companies=COMPANIES, lines=LINES, python=str(old.python)) as started:
        yield started


def test_a_release_is_upgraded_to_this_tree_and_back(
    old: Installation, sandbox: Sandbox, tmp_path: Path
) -> None:
    data, backup = tmp_path / "data", tmp_path / "backup"
    with running(old, data) as site:
        facts = import_books(old, data, site, sandbox)
    before = stored_rows(data)
    assert len(before["administrations_administration"]) == COMPANIES
    assert len(before["books_entry_line"]) > LINES
    shutil.copytree(data, backup, symlinks=True)

    new = install("koppel", next_wheels(tmp_path / "next"), old.folder, extra="demo")
    assert koppel(new, data, "--version") != RELEASES[-1].name
    assert "sync.0" in koppel(new, data, "migrate").replace("Applying ", "")
    assert_same(before, stored_rows(data))
    with running(new, data) as site:
        sign_in(site, facts)
        for administration in before["administrations_administration"]:
            words = ("start", str(administration["id"]), "--full", "--wait")
            koppel(new, data, "sync", *words, "--as", facts["people"][0]["email"])
    assert_same_books(before, stored_rows(data))

    install_release(RELEASES[-1], old.folder)
    assert "newer Koppel" in koppel(old, data, "migrate", code=2)
    shutil.rmtree(data)
    shutil.copytree(backup, data, symlinks=True)
    assert_same(before, stored_rows(data))
    with running(old, data) as site:
        sign_in(site, facts)


def next_wheels(folder: Path) -> Path:
    """Wheels of this tree as its next version, with a migration and a newer normaliser of accounts."""
    trees = [copy_package(name, folder / name) for name in DISTRIBUTIONS]
    for tree in trees:
        file = tree / "pyproject.toml"
        file.write_text(
            re.sub(
                r"(?m)(version = \"|(?:koppel-sandbox|ledger-formats)==)\d+\.\d+\.\d+",
                r"\g<1>99.0.0",
                file.read_text(),
            )
        )
    source = trees[0] / "src" / "koppel"
    migrations = source / "sync" / "migrations"
    last = max(file.stem for file in migrations.glob("0*.py"))
    (migrations / f"{int(last[:4]) + 1:04}_next.py").write_text(MIGRATION.format(last=last))
    normaliser = source / "connectors" / "visma_net" / "normalise.py"
    text, count = re.subn(r'(?m)^    "accounts": \d+,$', '    "accounts": 99,', normaliser.read_text())
    assert count == 1
    normaliser.write_text(text)
    return build_wheels(trees, folder / "wheels")


@contextmanager
def running(installation: Installation, data: Path) -> Iterator[Site]:
    """`koppel up` with a worker, until the block ends."""
    port, log = choose_free_port(), data.with_name("koppel.log")
    words = [installation.python.parent / "koppel", "up", "--port", str(port)]
    with log.open("wb") as output:
        process = subprocess.Popen(
            words, env=environment(installation, data, port), stdout=output, stderr=output
        )
    site = Site(port, log)
    try:
        wait_until(lambda: site.answers() or process.poll() is not None)
        assert process.poll() is None, log.read_text()
        yield site
    finally:
        process.terminate()  # as an operator stops it: runs and jobs end, the database last
        process.wait()


def environment(installation: Installation, data: Path, port: int = 8400) -> dict[str, str]:
    data.mkdir(exist_ok=True)
    return {
        "PATH": f"{installation.python.parent}:{os.environ['PATH']}",
        "HOME": str(data.parent),
        "KOPPEL_DATA_DIR": str(data),
        "KOPPEL_PUBLIC_URL": f"http://localhost:{port}",
    }


def koppel(installation: Installation, data: Path, *words: str, code: int = 0, port: int = 8400) -> str:
    """What a command prints, with its messages. It must end with this exit code."""
    program = installation.python.parent / "koppel"
    done = subprocess.run(
        [program, *words],
        env=environment(installation, data, port),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, done.stdout + done.stderr
    return (done.stdout + done.stderr).strip()


def import_books(installation: Installation, data: Path, site: Site, sandbox: Sandbox) -> dict[str, Any]:
    """Import all companies by the release's own pages; return the accounts."""
    printed = koppel(installation, data, "prepare", "--demo-sandbox-url", sandbox.url, port=site.port)
    facts: dict[str, Any] = json.loads(printed.splitlines()[-1])
    url = f"http://localhost:{site.port}"
    words = [installation.python, "-c", IMPORT, url, sandbox.url, json.dumps(facts)]
    done = subprocess.run(
        words, env=environment(installation, data, site.port), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr + site.log.read_text()
    return facts


def sign_in(site: Site, facts: dict[str, Any]) -> None:
    """Sign in by the page, and see all administrations."""
    browser, person = Browser(), facts["people"][0]
    page = browser.get(f"http://localhost:{site.port}/accounts/login/")
    account = {"login": person["email"], "password": person["password"]}
    browser.submit(page, page.form("login", "password"), account)
    administrations = browser.get(f"http://localhost:{site.port}/api/v1/administrations")
    names = re.findall(r'"status": ?"active"', administrations.text)
    assert len(names) == COMPANIES, administrations.text


def stored_rows(data: Path) -> Rows:
    """All rows of the tables that a start does not change, ordered; nothing else uses the database."""
    with (
        EmbeddedPostgres(data / "postgres") as server,
        psycopg.connect(server.addresses.superuser_url, row_factory=dict_row) as connection,
    ):
        tables = connection.execute(
            "SELECT relname FROM pg_class JOIN pg_namespace n ON n.oid = relnamespace"
            " WHERE nspname = 'public' AND relkind IN ('r', 'p') AND NOT relispartition ORDER BY 1"
        ).fetchall()
        names = [row["relname"] for row in tables if not row["relname"].startswith(VOLATILE)]
        rows = {name: connection.execute(f'SELECT * FROM "{name}"'.encode()).fetchall() for name in names}
    return {name: sorted(found, key=repr) for name, found in rows.items()}


def assert_same(before: Rows, after: Rows) -> None:
    """All rows of before, with all their columns, are there, and no more."""
    for table, rows in before.items():
        columns = list(rows[0]) if rows else []
        kept = [{name: row[name] for name in columns} for row in after[table]]
        assert sorted(kept, key=repr) == sorted(rows, key=repr), table


def assert_same_books(before: Rows, after: Rows) -> None:
    """The books are the same to the last column after a full read. Accounts have the newer version, and no
    change is logged.
    """
    assert len(after["sync_change"]) == len(before["sync_change"])
    for table in (name for name in before if name.startswith("books_")):
        versions = {bytes(row["content_hash"])[32:] for row in after[table] if "content_hash" in row}
        assert (versions == {b"\0\x63"}) == (table == "books_account"), table
        assert stable_columns(before[table]) == stable_columns(after[table]), table


def stable_columns(rows: list[dict[str, Any]]) -> list[str]:
    return sorted(repr([(name, row[name]) for name in row if name not in RENORMALISED]) for row in rows)
