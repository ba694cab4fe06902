"""Stored rows that an older version of normalisation made are made again; nothing changed at the source."""

import io
import json
from collections.abc import Callable
from contextlib import redirect_stdout, suppress
from typing import Any

import msgspec
import pytest
import typer
from django.db import connection
from procrastinate.contrib.django.models import ProcrastinateJob

from koppel.audit.models import AuditEntry
from koppel.books.reports.trial_balance import trial_balance
from koppel.books.storage import renormalisation
from koppel.cli.checks.installation import _stored_rows
from koppel.connector.rows import ROWS, Row
from koppel.connectors.visma_net import normalise
from koppel.connectors.visma_net.connector import VismaNet
from koppel.kit.tenancy import organisation_scope
from koppel.organisations.models import User
from koppel.sync import tasks
from koppel.sync.audit_actions import SyncAction
from koppel.sync.commands import books
from koppel.sync.engine import stored_rows
from koppel.sync.models import Change, Run
from tests.fixtures.people import signed_in
from tests.sync.factories import Synced


class Killed(BaseException):
    """The process ends here."""


RESOURCES = ("accounts", "entries", "entry_lines")
COLUMN = {"accounts": "name", "entries": "description", "entry_lines": "description"}


def correct_normaliser(monkeypatch: pytest.MonkeyPatch, version: int = 12) -> None:
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


def work_off() -> int:
    """Run the schedule and then every job that it enqueued, as workers do; return their number."""
    tasks.enqueue_renormalisation(timestamp=0)
    count = 0
    while jobs := ProcrastinateJob.objects.filter(task_name=tasks.RENORMALISE_TASK, status="todo").order_by(
        "id"
    ):
        arguments = jobs[0].args
        with connection.cursor() as cursor:  # the model is read-only
            cursor.execute("DELETE FROM procrastinate_jobs WHERE id = %s", [jobs[0].pk])
        tasks.renormalise_books(**arguments)
        count += 1
    return count


def test_organisations_take_turns_and_a_round_is_repeated_while_one_has_more() -> None:
    assert tasks.next_turn([3, 5, 9], 0, is_repeated=False) == (3, False)
    assert tasks.next_turn([3, 5, 9], 3, is_repeated=True) == (5, True)
    assert tasks.next_turn([3, 5, 9], 9, is_repeated=True) == (3, False)
    assert tasks.next_turn([3, 5, 9], 9, is_repeated=False) is None, "Those left wait for the end of a sync."
    assert tasks.next_turn([], 5, is_repeated=True) is None


def check_line() -> str:
    return " ".join(finding.text for finding in _stored_rows())


def audited(synced: Synced) -> list[str]:
    with organisation_scope(synced.actor.organisation_id):
        entries = AuditEntry.objects.filter(action=SyncAction.BOOKS_RENORMALISED).order_by("pk")
        return [entry.actor_kind for entry in entries]


def test_workers_make_rows_of_an_older_version_again_without_being_asked(
    synced: Synced, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert check_line() == ""
    synced.sync()
    figures, changes = balance(synced), count_changes(synced)
    assert work_off() == 0, "A first import has no rows of another version."
    assert "1 administrations are as" in check_line()
    correct_normaliser(monkeypatch)
    monkeypatch.setattr(renormalisation, "ROWS_PER_BATCH", 50)
    synced.sandbox.forget_calls()
    assert "1 of 1 administrations may have rows" in check_line()
    assert f"{len(ROWS) - 3} of {len(ROWS)} resources" in check_line()
    with monkeypatch.context() as patch:
        patch.setattr(stored_rows, "TURN_SECONDS", 0.0)
        assert stored_rows.renormalise_turn(synced.actor.organisation_id), "The turn is over; rows are left."
        assert corrected_counts(synced)["accounts"][0] == 0
        patch.setattr(stored_rows, "TURN_SECONDS", 20.0)
        patch.setattr(stored_rows, "_finish", killed)
        with pytest.raises(Killed):
            work_off()
    assert sum(corrected for corrected, _total in corrected_counts(synced).values()) > 0
    assert work_off() == 1
    assert all(corrected == total for corrected, total in corrected_counts(synced).values())
    assert (balance(synced), count_changes(synced)) == (figures, changes)
    assert synced.sandbox.calls() == []
    assert audited(synced) == ["job"], "Once for the whole administration."
    assert "1 administrations are as" in check_line()
    assert work_off() == 0
    correct_normaliser(monkeypatch, version=1)
    assert work_off() == 1, "An older Koppel, after going back, reads its own way again."
    assert audited(synced) == ["job", "job"]


def killed(*_arguments: object) -> None:
    raise Killed


def test_a_job_leaves_out_an_administration_that_syncs_and_one_that_fails(
    synced: Synced, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced.sync()
    correct_normaliser(monkeypatch)
    with organisation_scope(synced.actor.organisation_id):
        Run.objects.update(state="running")
    assert work_off() == 1
    assert corrected_counts(synced)["accounts"][0] == 0
    with organisation_scope(synced.actor.organisation_id):
        Run.objects.update(state="succeeded")
    with monkeypatch.context() as patch:
        patch.setattr(VismaNet, "normalise", killed_by_a_bug)
        assert work_off() == 1
    assert "1 of 1 administrations" in check_line()
    assert work_off() == 1
    assert all(corrected == total for corrected, total in corrected_counts(synced).values())


def killed_by_a_bug(*_arguments: object) -> None:
    raise TypeError


def test_a_row_that_the_new_version_cannot_normalise_stays_and_is_reported(
    synced: Synced, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced.sync()
    correct_normaliser(monkeypatch)
    corrected = VismaNet.normalise

    def choosy(connector: VismaNet, resource: str, raw: bytes, parent: str = "") -> Row:
        if resource == "accounts":
            raise ValueError
        return corrected(connector, resource, raw, parent)

    monkeypatch.setattr(VismaNet, "normalise", choosy)
    assert work_off() == 1
    corrected_accounts, total = corrected_counts(synced)["accounts"]
    assert corrected_accounts == 0 < total
    assert f"{total} rows keep the columns of an older version" in check_line()
    assert work_off() == 0, "They are not tried for ever."


def test_a_change_says_when_its_columns_are_read_by_another_version(
    synced: Synced, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced.sync()
    number = synced.rows("entries")[3].number
    synced.change(edit={number: "Edited at the source"})
    run = synced.sync()
    path = f"/administrations/{synced.administration_id}/sync/runs/{run.pk}"
    client = signed_in(synced.actor)

    def marks() -> tuple[bool, bool]:
        """Whether the page has the hint, and what REST says of the entries."""
        text = client.get(path + "/").content.decode()
        answer = client.get(f"/api/v1{path}/changes?resource=entries").json()
        changed = [each for each in answer["changes"] if each["kind"] == "changed"]
        assert changed
        assert all(each["before"] != each["after"] for each in changed)
        return "changed how it reads" in text, all(each["is_renormalised"] for each in changed)

    assert marks() == (False, False)
    correct_normaliser(monkeypatch)
    assert marks() == (True, True)
