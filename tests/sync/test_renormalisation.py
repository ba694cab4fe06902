"""Stored rows that an older version of normalisation made are made again; nothing changed at the source."""

import io
import json
from collections.abc import Callable
from contextlib import redirect_stdout, suppress
from typing import Any

import msgspec
import pytest
import typer

from koppel.books.reports.trial_balance import trial_balance
from koppel.books.storage import renormalisation
from koppel.connector.rows import Row
from koppel.connectors.visma_net import normalise
from koppel.connectors.visma_net.connector import VismaNet
from koppel.kit.tenancy import organisation_scope
from koppel.organisations.models import User
from koppel.sync.commands import books
from koppel.sync.models import Change, Run
from tests.sync.factories import Synced


class Killed(BaseException):
    """The process ends here."""


RESOURCES = ("accounts", "entries", "entry_lines")
COLUMN = {"accounts": "name", "entries": "description", "entry_lines": "description"}


def correct_normaliser(monkeypatch: pytest.MonkeyPatch, version: int = 2) -> None:
    """A release corrects three normalisers: a text gets a suffix."""
    original = VismaNet.normalise

    def corrected(connector: VismaNet, resource: str, raw: bytes, parent: str = "") -> Row:
        row = original(connector, resource, raw, parent)
        return msgspec.structs.replace(row, **{COLUMN[resource]: "corrected"}) if resource in COLUMN else row

    monkeypatch.setattr(VismaNet, "normalise", corrected)
    for resource in RESOURCES:
        monkeypatch.setitem(normalise.VERSIONS, resource, version)


def corrected_counts(synced: Synced) -> dict[str, tuple[int, int]]:
    """How many rows are corrected, and how many there are, by resource."""
    counts = {}
    for resource in RESOURCES:
        rows = synced.rows(resource)
        counts[resource] = (sum(getattr(row, COLUMN[resource]) == "corrected" for row in rows), len(rows))
    return counts


def balance(synced: Synced) -> Any:
    with organisation_scope(synced.actor.organisation_id):
        year = max(row.fiscal_year for row in synced.rows("periods"))
        accounts = trial_balance(synced.administration_id, year, f"{year}13").accounts
        return [(account.code, account.opening, account.debit, account.credit) for account in accounts]


def count_changes(synced: Synced) -> int:
    with organisation_scope(synced.actor.organisation_id):
        return Change.objects.filter(administration_id=synced.administration_id).count()


def test_a_full_read_makes_rows_of_an_older_version_again(
    synced: Synced, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced.sync()
    figures, changes = balance(synced), count_changes(synced)
    correct_normaliser(monkeypatch)
    synced.sync()
    corrected, total = corrected_counts(synced)["accounts"]
    assert corrected == 0 < total, "A read of changes leaves rows that it does not read."
    run = synced.sync(full=True)
    assert all(corrected == total > 0 for corrected, total in corrected_counts(synced).values())
    assert count_changes(synced) == changes, "The client's books did not change."
    part = synced.part(run, "entries")
    assert (part.added, part.changed, part.deleted) == (0, 0, 0)
    assert part.renormalised > 0
    assert balance(synced) == figures
    assert synced.is_exact()
    before = synced.versions()
    synced.sync(full=True)
    assert synced.versions() == before, "Nothing is written twice."


def test_a_change_at_the_source_is_logged_also_when_the_version_is_new(
    synced: Synced, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced.sync()
    number = synced.rows("entries")[3].number
    synced.change(edit={number: "Edited at the source"})
    changes = count_changes(synced)
    correct_normaliser(monkeypatch)
    part = synced.part(synced.sync(full=True), "entries")
    assert count_changes(synced) == changes + part.changed > changes


def command(synced: Synced, *words: str) -> list[dict[str, Any]]:
    with organisation_scope(synced.actor.organisation_id):
        email = User.objects.get(pk=synced.actor.user_id).email
    arguments = ["renormalise", *words, "--as", email, "--json"]
    with redirect_stdout(io.StringIO()) as printed, suppress(SystemExit):
        typer.main.get_command(books).main(args=arguments, prog_name="koppel books")
    (line,) = [line for line in printed.getvalue().splitlines() if line.startswith("[{")]
    rows: list[dict[str, Any]] = json.loads(line)
    return rows


def test_the_command_makes_stored_rows_again_without_the_source_and_resumes(
    synced: Synced, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced.sync()
    figures, changes = balance(synced), count_changes(synced)
    chosen = ("--administration", str(synced.administration_id))
    assert command(synced, *chosen)[0]["outdated"] == 0
    correct_normaliser(monkeypatch)
    monkeypatch.setattr(renormalisation, "ROWS_PER_BATCH", 50)
    synced.sandbox.forget_calls()
    total = sum(total for _corrected, total in corrected_counts(synced).values())
    (counted,) = command(synced, "--all", "--dry-run")
    assert (counted["outdated"], counted["renormalised"]) == (total, 0)
    with monkeypatch.context() as patch:
        patch.setattr(typer, "echo", make_killing_reporter())
        with pytest.raises(Killed):
            command(synced, *chosen)
    left = sum(total - corrected for corrected, total in corrected_counts(synced).values())
    assert total - 100 <= left < total
    (done,) = command(synced, *chosen)
    assert (done["outdated"], done["renormalised"], done["rejected"]) == (left, left, 0)
    assert all(corrected == total for corrected, total in corrected_counts(synced).values())
    assert (balance(synced), count_changes(synced)) == (figures, changes)
    assert synced.sandbox.calls() == []
    before = synced.versions()
    synced.sync(full=True)
    assert synced.versions() == before, "The full read finds nothing left to do."


def make_killing_reporter() -> Callable[..., None]:
    reports: list[object] = []

    def report(*arguments: object, **_options: object) -> None:
        reports.append(arguments)
        if len(reports) == 2:
            raise Killed

    return report


def test_the_command_refuses_while_a_run_is_under_way(
    synced: Synced, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced.sync()
    correct_normaliser(monkeypatch)
    with organisation_scope(synced.actor.organisation_id):
        Run.objects.update(state="running")
    (refused,) = command(synced, "--all")
    assert refused["renormalised"] == 0 < refused["outdated"]
    assert "under way" in refused["reason"]
