"""The progress of runs on pages, over REST and from the command line."""

import json
import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from typer.testing import CliRunner

from koppel.administrations.models import Administration
from koppel.audit.models import AuditEntry
from koppel.issues.models import Issue
from koppel.kit.clock import clock_set_to, now
from koppel.kit.tenancy import organisation_scope
from koppel.kit.web.sentences import render_sentence
from koppel.organisations.models import User
from koppel.organisations.roles import Actor
from koppel.sync.commands import app as sync_commands
from koppel.sync.models import Run, RunResource
from koppel.sync.progress.run_progress import RunProgress, progress_of_runs
from tests.fixtures.people import MakeActor, signed_in
from tests.sync.test_queue import firm_with

IMPORT = 9


@pytest.fixture
def firm(actor: MakeActor) -> tuple[Actor, list[Administration]]:
    """Three administrations of one import: one done, one being read, one waiting."""
    anna, companies = firm_with(actor, 3)
    with organisation_scope(anna.organisation_id):
        Administration.objects.update(import_id=IMPORT)
        Administration.objects.filter(pk=companies[1].pk).update(status="configuring", activated_at=None)
        Administration.objects.filter(pk=companies[2].pk).update(status="queued", activated_at=None)
    return anna, companies


@pytest.fixture(autouse=True)
def standing_clock() -> Iterator[None]:
    """However long this machine takes, no time passes between what was read and what is told of it."""
    with clock_set_to(now()):
        yield


def run_of(administration: Administration, state: str, trigger: str = "import", **fields: Any) -> Run:
    with organisation_scope(administration.organisation_id):
        return Run.objects.create(
            organisation_id=administration.organisation_id,
            administration=administration,
            state=state,
            trigger=trigger,
            **fields,
        )


def part_of(run: Run, resource: str, state: str, seconds: float | None = None, **fields: Any) -> None:
    at = now()
    times = {
        "started_at": at - timedelta(seconds=seconds or 0),
        "finished_at": at if state == "done" else None,
    }
    with organisation_scope(run.organisation_id):
        position = RunResource.objects.filter(run=run).count()
        RunResource.objects.create(
            organisation_id=run.organisation_id,
            run=run,
            resource=resource,
            state=state,
            position=position,
            **({} if seconds is None else times),
            **fields,
        )


def progress(administration: Administration) -> RunProgress:
    with organisation_scope(administration.organisation_id):
        return progress_of_runs(administration.organisation_id, [administration.pk])[administration.pk]


def test_a_first_import_is_expected_to_take_what_similar_ones_took(
    firm: tuple[Actor, list[Administration]],
) -> None:
    _anna, (done, reading, _waiting) = firm
    finished = run_of(done, "succeeded", finished_at=now())
    part_of(finished, "accounts", "done", 1.0, mode="full", rows=100)
    part_of(finished, "entries", "done", 20.0, mode="full", rows=500, lines=2000)
    run = run_of(reading, "running", attempt=1, started_at=now() - timedelta(seconds=1))
    part_of(run, "accounts", "done", 1.0, mode="full", rows=100)
    part_of(run, "entries", "running", 0.1, mode="full", rows=100, lines=1000, expected_total=10_000, pages=1)
    result = progress(reading)
    assert (result.resource, result.done, result.expected, result.pages) == ("entries", 1000, 10_000, 1)
    assert result.percent == pytest.approx(10, abs=2), (
        "a tenth of the entries, which take nearly all of the time"
    )
    assert result.seconds_left == pytest.approx(90, abs=1), (
        "9,000 lines at the pace of the other one: 100 a second"
    )


def test_a_later_run_is_expected_to_take_what_the_last_one_took(
    firm: tuple[Actor, list[Administration]],
) -> None:
    _anna, (administration, *_others) = firm
    part_of(
        run_of(administration, "succeeded", finished_at=now()),
        "entries",
        "done",
        300.0,
        mode="full",
        lines=50_000,
    )
    part_of(
        run_of(administration, "succeeded", "schedule", finished_at=now()),
        "entries",
        "done",
        2.0,
        mode="modified_since",
        lines=3,
    )
    part_of(run_of(administration, "running", "schedule", attempt=1, started_at=now()), "entries", "waiting")
    assert progress(administration).seconds_left == 2


def test_a_run_that_waits_for_the_vendor_says_until_when_and_why(
    firm: tuple[Actor, list[Administration]],
) -> None:
    anna, (_done, reading, _waiting) = firm
    run = run_of(
        reading, "queued", not_before=now() + timedelta(minutes=10), reason="The calls are used up for now."
    )
    part_of(run, "accounts", "waiting")
    result = progress(reading)
    assert result.waits_until is not None
    assert result.reason == "The calls are used up for now."
    assert result.seconds_left == pytest.approx(600, abs=1)
    page = signed_in(anna).get(f"/administrations/{reading.pk}/sync/").content.decode()
    assert "The calls are used up for now." in page


def test_the_page_of_an_import_goes_on_until_it_is_over(firm: tuple[Actor, list[Administration]]) -> None:
    anna, (_done, reading, waiting) = firm
    part_of(
        run_of(reading, "running", started_at=now()),
        "entries",
        "running",
        1.0,
        lines=1200,
        expected_total=4000,
    )
    run_of(waiting, "queued")
    browser = signed_in(anna)
    page = browser.get(f"/imports/{IMPORT}/").content.decode()
    assert "1 of 3 active" in page
    assert "every 2s" in page
    assert "Queued" in page
    assert "1,200" in page
    with organisation_scope(anna.organisation_id):
        Run.objects.filter(state__in=["queued", "running"]).update(state="succeeded", finished_at=now())
        Administration.objects.filter(pk=reading.pk).update(status="active")
        Administration.objects.filter(pk=waiting.pk).update(status="failed", status_reason="No licence.")
    page = browser.get(f"/imports/{IMPORT}/").content.decode()
    assert "every 2s" not in page
    assert page.index("No licence.") < page.index("Company 0"), "what needs attention comes first"
    assert browser.get("/imports/999/").status_code == 404


def test_later_syncs_do_not_change_what_the_page_of_an_import_says(
    firm: tuple[Actor, list[Administration]],
) -> None:
    anna, (done, _reading, _waiting) = firm
    imported = run_of(done, "succeeded", started_at=now() - timedelta(seconds=11), finished_at=now())
    part_of(imported, "entries", "done", 11.0, mode="full", rows=90, lines=1059)
    later = run_of(done, "succeeded", "schedule", started_at=now() - timedelta(seconds=1), finished_at=now())
    part_of(later, "entries", "done", 1.0, rows=60)
    under_way = run_of(done, "running", "manual", started_at=now())
    part_of(under_way, "entries", "running", 1.0, lines=7, expected_total=77)
    row = signed_in(anna).get(f"/imports/{IMPORT}/").content.decode().split(done.name)[1].split("</tr>")[0]
    assert ("1,059" in row, "11 seconds" in row, "progress" in row) == (True, True, False)


def test_the_page_of_an_import_counts_administrations_with_open_issues(
    firm: tuple[Actor, list[Administration]],
) -> None:
    anna, (done, _reading, _waiting) = firm
    browser = signed_in(anna)
    assert "open issues" not in browser.get(f"/imports/{IMPORT}/").content.decode()
    with organisation_scope(anna.organisation_id):
        for detail in ("one", "two"):
            Issue.objects.create(
                organisation_id=anna.organisation_id,
                code="entry_unbalanced",
                subject_kind="administration",
                subject_id=done.pk,
                detail_key=detail,
            )
    assert "1 has open issues" in browser.get(f"/imports/{IMPORT}/").content.decode()


def test_an_import_of_thousands_is_shown_page_by_page_and_costs_what_a_small_one_does(
    firm: tuple[Actor, list[Administration]],
) -> None:
    anna, (done, reading, waiting) = firm
    part_of(
        run_of(reading, "running", started_at=now()),
        "entries",
        "running",
        1.0,
        lines=1200,
        expected_total=4000,
    )
    finished = run_of(done, "succeeded", started_at=now() - timedelta(seconds=8), finished_at=now())
    part_of(finished, "entries", "done", 8.0, mode="full", rows=90, lines=300)
    browser, address = signed_in(anna), f"/imports/{IMPORT}/"
    browser.get(address)
    with CaptureQueriesContext(connection) as small:
        browser.get(address)
    with organisation_scope(anna.organisation_id):
        remote = type(done.remote_company).objects.get(pk=done.remote_company_id)
        common = {"organisation_id": anna.organisation_id, "connection_id": done.connection_id}
        remotes = type(remote).objects.bulk_create(
            type(remote)(
                **common, grant_id=remote.grant_id, external_id=f"More {number}", name=f"More {number:04}"
            )
            for number in range(2000)
        )
        Administration.objects.bulk_create(
            Administration(
                **common,
                remote_company=remote_company,
                name=remote_company.name,
                status="queued",
                import_id=IMPORT,
            )
            for remote_company in remotes
        )
    with CaptureQueriesContext(connection) as large:
        page = browser.get(address).content.decode()
    assert len(large) <= len(small)
    assert ("1 of 2,003 active" in page, "Page 1 of 67" in page) == (True, True)
    assert page.count('<tr id="import-') == 30
    assert page.index(reading.name) < page.index(waiting.name) < page.index("More 0000"), (
        "what is read comes first"
    )
    assert "More 0050" not in page
    last = browser.get(f"{address}?page=9999", headers={"HX-Request": "true"}).content.decode()
    assert ("Page 67 of 67" in last, "status=&amp;page=67" in last, "8 seconds" in last) == (True, True, True)
    assert "300" in last[last.index(done.name) :], "how many rows its run read"
    only = browser.get(f"{address}?status=active").content.decode()
    assert (done.name in only, reading.name in only, "Page 1" in only) == (True, False, False)
    for nonsense in ("status=elsewhere", "page=-1", "page=x", "page=" + "9" * 400):
        refused = browser.get(f"{address}?{nonsense}")
        assert (refused.status_code, done.name in refused.content.decode()) == (422, False)
    body = browser.get(f"/api/v1/imports/{IMPORT}?status=queued&limit=2&page=3").json()
    assert (body["counts"]["queued"], body["pages"], len(body["administrations"])) == (2001, 1001, 2)


def test_the_remaining_time_of_an_import_follows_those_that_are_completed(actor: MakeActor) -> None:
    anna, companies = firm_with(actor, 14)
    with organisation_scope(anna.organisation_id):
        Administration.objects.update(import_id=IMPORT)
        Administration.objects.filter(pk__in=[company.pk for company in companies[5:]]).update(
            status="queued", activated_at=None
        )
    for company in companies[12:]:
        run_of(company, "running", attempt=1, started_at=now() - timedelta(seconds=30))
    for number, company in enumerate(companies[:6]):
        began = now() - timedelta(seconds=60 * (3 - number // 2))
        run_of(company, "succeeded", started_at=began, finished_at=began + timedelta(seconds=60))
    browser = signed_in(anna)

    def pages() -> list[str]:
        addresses = (f"/imports/{IMPORT}/", f"/administrations/?import={IMPORT}")
        return [" ".join(browser.get(address).content.decode().split()) for address in addresses]

    for company in companies[6:12]:
        run_of(company, "queued")
    dashboard = browser.get("/").content.decode()
    assert "6 waiting" in dashboard
    assert re.search(r"about [^<]* left", dashboard) is None, "the end of the running ones is not the end"
    assert browser.get(f"/api/v1/imports/{IMPORT}").json()["seconds_left"] is None
    assert not any("minutes left" in page for page in pages()), "nothing until enough are completed"
    with organisation_scope(anna.organisation_id):
        Administration.objects.filter(pk=companies[5].pk).update(status="active", activated_at=now())
    assert browser.get(f"/api/v1/imports/{IMPORT}").json()["seconds_left"] == 218
    assert all("about 4 minutes left" in page for page in pages())
    User.objects.filter(pk=anna.user_id).update(language="nl")
    assert all("nog ongeveer 4 minuten" in page for page in pages())


def test_rest_shows_the_same_progress(firm: tuple[Actor, list[Administration]]) -> None:
    anna, (done, reading, _waiting) = firm
    part_of(
        run_of(reading, "running", started_at=now()),
        "entries",
        "running",
        1.0,
        lines=1200,
        expected_total=4000,
    )
    browser = signed_in(anna)
    body = browser.get(f"/api/v1/administrations/{reading.pk}/sync").json()
    assert (body["progress"]["resource"], body["progress"]["done"], body["newest"]["state"]) == (
        "entries",
        1200,
        "running",
    )
    body = browser.get(f"/api/v1/imports/{IMPORT}").json()
    assert (body["total"], body["active"], body["is_finished"]) == (3, 1, False)
    address = f"/api/v1/administrations/{done.pk}/sync"
    answer = browser.post(address, {"full": True}, content_type="application/json")
    assert (answer.status_code, answer.json()) == (202, {"created": True})
    assert browser.post(address, {}, content_type="application/json").json() == {"created": False}
    assert browser.post(f"{address}/cancel").json() == {"cancelled": True}
    assert browser.post(f"{address}/cancel").json() == {"cancelled": False}
    with organisation_scope(anna.organisation_id):
        Administration.objects.filter(pk=done.pk).update(status="deactivated")
    answer = browser.post(address, {}, content_type="application/json")
    assert (answer.status_code, answer.json()["error"]) == (409, "not_possible")


def test_a_first_import_that_is_stopped_says_who_stopped_it_and_can_be_retried(
    firm: tuple[Actor, list[Administration]],
) -> None:
    anna, (_done, reading, _waiting) = firm
    run = run_of(reading, "running", attempt=1, started_at=now(), heartbeat_at=now())
    browser = signed_in(anna)
    browser.post(f"/administrations/{reading.pk}/sync/cancel")
    with organisation_scope(anna.organisation_id):
        run.refresh_from_db()
        stopped = Administration.objects.get(pk=reading.pk)
        assert AuditEntry.objects.filter(action="administration.sync_cancelled").count() == 1
    assert (run.state, render_sentence(run.reason)) == ("cancelled", f"Stopped by {anna.name}.")
    sentence = render_sentence(stopped.status_reason)
    assert (stopped.status, sentence) == ("failed", f"The import was stopped by {anna.name}.")
    browser.post(f"/administrations/{reading.pk}/sync/now")
    with organisation_scope(anna.organisation_id):
        assert Administration.objects.get(pk=reading.pk).status == "queued"


def test_the_page_starts_single_resources_and_keeps_what_is_known_of_the_others(
    firm: tuple[Actor, list[Administration]],
) -> None:
    anna, (done, _reading, _waiting) = firm
    with organisation_scope(anna.organisation_id):
        Administration.objects.filter(pk=done.pk).update(
            status="active", activated_at=now(), settings={"schedule": "daily"}
        )
    whole = run_of(done, "succeeded", started_at=now(), finished_at=now() + timedelta(seconds=18))
    for resource in ("accounts", "contacts"):
        part_of(whole, resource, "done", rows=40, added=40)
    browser = signed_in(anna)
    browser.post(f"/administrations/{done.pk}/sync/now", {"resource": "accounts", "full": "1"})
    with organisation_scope(anna.organisation_id):
        queued_run = Run.objects.get(administration=done, state="queued")
        assert (queued_run.resources, queued_run.full) == (["accounts"], True)
        Run.objects.filter(pk=queued_run.pk).update(state="succeeded", started_at=now(), finished_at=now())
    part_of(queued_run, "accounts", "done", rows=0)
    page = browser.get(f"/administrations/{done.pk}/sync/").content.decode()
    assert "18 seconds" in page
    assert "Next scheduled sync" in page
    assert page.count("+40") == 1, "of the contacts, which the second run did not read"
    answer = browser.post(
        f"/administrations/{done.pk}/sync/now", {"resource": "nothing"}, follow=True
    ).content.decode()
    assert "nothing is not one of the available choices" in answer


def test_syncs_are_started_shown_retried_and_cancelled_from_the_command_line(
    firm: tuple[Actor, list[Administration]], monkeypatch: pytest.MonkeyPatch
) -> None:
    anna, (done, _reading, waiting) = firm
    monkeypatch.setenv("KOPPEL_AS", User.objects.get(pk=anna.user_id).email)

    def output(*words: str) -> list[Any]:
        outcome = CliRunner().invoke(sync_commands, [*words, "--json"])
        assert outcome.exit_code == 0, outcome.output
        return [json.loads(line) for line in outcome.stdout.splitlines() if line[:1] in "[{"]

    assert output("start", str(done.pk)) == [{"administration": done.pk, "created": True}]
    (lines,) = output("status")
    assert [(one["id"], one["state"]) for one in lines if one["state"]] == [(done.pk, "queued")]
    assert output("cancel", str(done.pk)) == [{"administration": done.pk, "cancelled": True}]
    with organisation_scope(anna.organisation_id):
        Administration.objects.filter(pk=waiting.pk).update(status="failed")
    assert output("retry") == [[{"id": waiting.pk, "name": waiting.name, "created": True}]]
    assert output("cancel", str(waiting.pk))[0]["cancelled"]
    assert [one["state"] for one in output("watch", str(done.pk))] == ["cancelled"]


def test_progress_of_fifty_runs_takes_as_many_queries_as_of_one(
    actor: MakeActor, django_assert_max_num_queries: Any
) -> None:
    anna, companies = firm_with(actor, 50)
    for company in companies:
        part_of(run_of(company, "running", started_at=now()), "entries", "running", 1.0)
    with organisation_scope(anna.organisation_id), django_assert_max_num_queries(4):
        assert len(progress_of_runs(anna.organisation_id, [company.pk for company in companies])) == 50
