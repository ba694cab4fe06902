"""Two installations on one sandbox: a backup is restored beside production, and then takes its place.

No consent is lost in either step; without the quarantine the copy's first renewal would end it for both.
"""

import contextlib
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.utils import timezone

from koppel.cli.demo.http_browser import Browser
from koppel.connections.models import Grant
from koppel.kit import quarantine
from koppel.kit.database.embedded_postgres import Addresses, EmbeddedPostgres
from koppel.kit.tenancy import organisation_scope
from koppel.organisations.models import User
from koppel.organisations.people import operators
from koppel.sync.models import Run
from koppel.sync.runs.services import request_run
from tests.backup.factories import write_identity
from tests.connections.factories import import_first, wait_until_described
from tests.fixtures.people import PASSWORD
from tests.fixtures.stack import Connected, MakeConnected, run_worker, wait_until
from tests.quarantine.switch import Programs

pytestmark = pytest.mark.drill

KOPPEL = (sys.executable, "-m", "koppel.cli")
EXPIRED = "UPDATE connections_grant SET issued_at = now() - interval '1 hour', expires_at = now()"


@pytest.fixture
def production(connected: MakeConnected, database_addresses: Addresses) -> Connected:
    """One administration that was read and another sync that waits; its person is an operator too."""
    firm = connected()
    import_first(firm, 1, sync=True)
    with run_worker(database_addresses.superuser_url):
        wait_until(lambda: _states(firm) == ["succeeded"])
        wait_until_described(firm)
    operators.grant_operator(_email(firm), is_operator=True)
    with organisation_scope(firm.actor.organisation_id):
        request_run(firm.actor, Run.objects.get().administration_id)
    return firm


def test_a_restored_copy_takes_the_place_of_production_and_no_consent_is_lost(
    production: Connected, database_addresses: Addresses, tmp_path: Path, free_port: int
) -> None:
    home = _restore_backup(database_addresses, tmp_path)
    _renew_in_production(production, database_addresses)
    production.sandbox.forget_calls()
    with EmbeddedPostgres(home / "postgres", durable=False) as server:
        copy = _environment(server.addresses, home)
        with psycopg.connect(server.addresses.superuser_url) as connection:
            connection.execute(EXPIRED.encode())
        with Programs(tmp_path, "worker", environment=copy) as programs:
            wait_until(lambda: "quarantine_on" in programs.said("worker"))
            time.sleep(3)  # so long it would need to renew and to call
            assert production.sandbox.calls() == []
            assert "koppel adopt" in _koppel(copy, "quarantine", "off", succeeds=False).stderr

            with Programs(tmp_path, f"web --port {free_port}"):
                _adopt(copy, production, f"http://127.0.0.1:{free_port}")
            period = quarantine.current()
            assert period is not None and period.reason is quarantine.Reason.REPLACED  # noqa: PT018

            wait_until(lambda: _finished_runs(server.addresses) == ["succeeded", "succeeded"])
        calls = production.sandbox.calls("token")
        assert calls, "The copy has renewed the token that production had last."
        _sign_in_to(copy, free_port, _email(production), tmp_path)
    counts = production.sandbox.control("tokens")
    assert (counts["refusals"], counts["families_revoked_for_reuse"]) == ({}, 0)


def _restore_backup(source: Addresses, folder: Path) -> Path:
    """The data directory of a copy of production, restored from an encrypted backup with its keys."""
    environment = {**os.environ, "KOPPEL_BACKUP_DATABASE_URL": source.superuser_url}
    public_key = write_identity(folder / "key")
    words = ("backup", "--json", "--to", str(folder / "backups"), "--encrypt-to", public_key)
    backup = json.loads(_koppel(environment, *words).stdout)["backup"]
    plain = {
        name: text for name, text in os.environ.items() if not name.startswith(("KOPPEL_", "DATABASE_URL"))
    }
    home = folder / "copy"
    _koppel(plain, "restore", backup, "--data-dir", str(home), "--identity", str(folder / "key"))
    return home


def _renew_in_production(firm: Connected, addresses: Addresses) -> None:
    """From now on the copy's refresh token is a used one."""
    with organisation_scope(firm.actor.organisation_id):
        before = Grant.objects.get().generation
        Grant.objects.update(issued_at=timezone.now() - timedelta(hours=1), expires_at=timezone.now())
    with run_worker(addresses.superuser_url):
        wait_until(lambda: _states(firm) == ["succeeded", "succeeded"])
    with organisation_scope(firm.actor.organisation_id):
        assert Grant.objects.get().generation > before


def _environment(addresses: Addresses, home: Path) -> dict[str, str]:
    """Of the copy's programs: its own machine, with no settings of production."""
    keys = json.loads((home / "secrets.json").read_text())
    return {
        **os.environ,
        "KOPPEL_INSTALLATION_ID": "",
        **keys,
        "DATABASE_URL": addresses.app_url,
        "KOPPEL_OWNER_DATABASE_URL": addresses.owner_url,
        "KOPPEL_DATA_DIR": str(home),
    }


def _adopt(copy: dict[str, str], firm: Connected, original: str) -> None:
    """The command waits; meanwhile the operator signs in at the original and types the code."""
    browser = _signed_in(original, _email(firm))
    command = [*KOPPEL, "adopt", "--old", original, "--json"]
    with (
        subprocess.Popen(
            command, env=copy, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as process,
        _killed_at_the_end(process),
    ):
        assert process.stderr is not None
        assert process.stdout is not None
        sentence = next(line for line in process.stderr if "type the code" in line)
        match = re.search(r"code (\w{4}-\w{4})", sentence)
        assert match
        browser = _signed_in(original, _email(firm))
        page = browser.get(f"{original}/operator/replacement")
        browser.submit(page, page.form("code"), {"code": match[1]})
        facts = json.loads(process.stdout.read())
        assert process.wait() == 0
    assert (facts["quarantine"], facts["consents_made_since_the_backup"]) == ("off", 0)


@contextlib.contextmanager
def _killed_at_the_end(process: "subprocess.Popen[str]") -> Iterator[None]:
    try:
        yield
    finally:
        if process.poll() is None:
            process.kill()


def _sign_in_to(copy: dict[str, str], port: int, email: str, folder: Path) -> None:
    with Programs(folder, f"web --port {port}", environment=copy):
        page = _signed_in(f"http://127.0.0.1:{port}", email).get(f"http://127.0.0.1:{port}/administrations/")
    assert page.status == 200
    assert "quarantine" not in page.text.lower()


def _signed_in(url: str, email: str) -> Browser:
    browser = Browser()

    def is_up() -> bool:
        try:
            return browser.get(f"{url}/accounts/login/").status == 200
        except OSError:
            return False

    wait_until(is_up)
    page = browser.get(f"{url}/accounts/login/")
    browser.submit(page, page.form("login", "password"), {"login": email, "password": PASSWORD})
    return browser


def _koppel(
    environment: dict[str, str], *words: str, succeeds: bool = True
) -> "subprocess.CompletedProcess[str]":
    done = subprocess.run([*KOPPEL, *words], env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode == 0) is succeeds, done.stdout + done.stderr
    return done


def _email(firm: Connected) -> str:
    return User.objects.get(pk=firm.actor.user_id).email


def _states(firm: Connected) -> list[str]:
    with organisation_scope(firm.actor.organisation_id):
        return list(Run.objects.order_by("pk").values_list("state", flat=True))


def _finished_runs(addresses: Addresses) -> list[Any]:
    with psycopg.connect(addresses.superuser_url) as connection:
        return [state for (state,) in connection.execute("SELECT state FROM sync_run ORDER BY id").fetchall()]
