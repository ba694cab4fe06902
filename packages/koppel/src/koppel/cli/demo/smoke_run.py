"""The main job without a person: through the sandbox's real forms and Koppel's own pages, then a table of the
result.
"""

import json
import re
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from html import unescape
from typing import Any

from rich import box
from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from koppel.cli.demo.http_browser import Browser, HtmlForm, HtmlPage, UnexpectedPage
from koppel.cli.stack import DemoAccounts
from koppel.kit.cli.errors import CommandError

POLL_SECONDS = 0.5
POLLS_MAX = 20
LINES_NAMED_MAX = 20
SETTLED = ("active", "failed", "blocked", "deactivated")


@dataclass(kw_only=True)
class AdministrationResult:
    """An administration at the end.

    `source` is the SIE file's name; `rows` per resource; `debit` is the exact sum of all entry lines;
    `issues` their messages.
    """

    name: str
    source: str | None
    status: str
    seconds: float | None
    rows: dict[str, int] = field(default_factory=dict)
    debit: str = "0"
    issues: list[str] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class SmokeRun:
    """The settings of a run. `on_poll` is called between polls, to restart dead programs."""

    public_url: str
    sandbox_url: str
    facts: DemoAccounts
    on_poll: Callable[[], None]
    timeout_seconds: float


def run(smoke_run: SmokeRun, *, as_json: bool) -> int:
    """Return 0 when everything imported is active. Raises `CommandError` for an unexpected page."""
    began = time.monotonic()
    console = Console(stderr=True)
    browser = Browser()
    try:
        import_id = _import_everything(browser, smoke_run, console)
        statuses = _wait_until_settled(browser, smoke_run, import_id, console)
        results = [_result(browser, smoke_run, status) for status in statuses]
    except UnexpectedPage as unexpected:
        raise CommandError(f"The job stopped: {unexpected}") from None
    seconds = round(time.monotonic() - began, 1)
    if as_json:
        document = {"seconds": seconds, "administrations": [asdict(result) for result in results]}
        sys.stdout.write(json.dumps(document | _skipped_lines(browser, smoke_run)) + "\n")
    else:
        Console(width=max(120, Console().width)).print(_table(results, seconds))
    return 0 if results and all(result.status == "active" for result in results) else 1


def _import_everything(browser: Browser, smoke_run: SmokeRun, console: Console) -> int:
    """Sign in, connect, tick all, identify, assign, finish. Return the import's id."""
    person = smoke_run.facts.people[0]
    page = browser.get(f"{smoke_run.public_url}/accounts/login/")
    page = browser.submit(
        page, page.form("login", "password"), {"login": person.email, "password": person.password}
    )
    page = browser.get(f"{smoke_run.public_url}/connections/new/")
    page = browser.submit(page, page.form(button="connector"), {}, button="connector")
    page = browser.submit(page, page.form("app", mode="company_list"), {})
    account = {"username": smoke_run.facts.sandbox_user, "password": smoke_run.facts.sandbox_password}
    page = browser.submit(page, page.form("username", "password"), account)
    page = browser.submit(page, page.form("request", button="answer"), {}, button="answer", value="allow")
    page = browser.submit(
        page, page.form("code", "state"), {}
    )  # a form that a real browser submits by script
    _wait_for_descriptions(browser, page.url.replace("/choose", "/companies.json"), smoke_run)
    form = page.form("company")
    companies = [value for name, value in form.boxes if name == "company"]
    console.print(f"{len(companies)} administrations found")
    _print_skipped_lines(_skipped_lines(browser, smoke_run), console)
    page = browser.submit(page, form, {"company": companies})
    return identify_and_finish(browser, page, console)


def identify_and_finish(browser: Browser, page: HtmlPage, console: Console) -> int:
    """Identify, assign and finish. Return the import's id.

    Finishing leads back to Identify when a register answered meanwhile and a name differs.
    """
    for _poll in range(POLLS_MAX):
        page = _assign_and_finish(browser, identify(browser, page, console))
        if match := re.search(r"[?&]import=(\d+)", page.url):
            return int(match[1])
        if not _is_identify_page(page):
            break
    raise UnexpectedPage(f"The import did not begin; the browser is at {page.url}.")


def _assign_and_finish(browser: Browser, page: HtmlPage) -> HtmlPage:
    form = page.form("division")
    division = next(value for value, _text in form.options["division"] if value)
    page = browser.submit(page, form, {"division": division}, button="action", value="apply")
    return browser.submit(page, page.form("division"), {}, button="action", value="finish")


def _skipped_lines(browser: Browser, smoke_run: SmokeRun) -> dict[str, Any]:
    """Return why files were `refused`, by name, and the `skipped_lines` of others: file, line and reason."""
    response = json.loads(browser.get(f"{smoke_run.sandbox_url}/__sandbox__/companies").text)
    return {"refused": response["refused"], "skipped_lines": response["skipped_lines"]}


def _print_skipped_lines(skipped_lines: dict[str, Any], console: Console) -> None:
    for reason in skipped_lines["refused"].values():
        console.print(f"Skipped: {reason}", markup=False)
    for line in skipped_lines["skipped_lines"][:LINES_NAMED_MAX]:
        console.print(f"Skipped: {line['file']} line {line['line']}, {line['reason']}", markup=False)
    if (more := len(skipped_lines["skipped_lines"]) - LINES_NAMED_MAX) > 0:
        console.print(f"Skipped: {more} more lines; --json names them all")


def _wait_for_descriptions(browser: Browser, url: str, smoke_run: SmokeRun) -> None:
    """Wait up to a minute for a worker's lookup of numbers and countries; missing ones get a reason."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        response = browser.get(url)
        if response.status == 200 and json.loads(response.text)["left"] == 0:
            return
        smoke_run.on_poll()
        time.sleep(POLL_SECONDS)


def identify(browser: Browser, page: HtmlPage, console: Console) -> HtmlPage:
    """Use the numbers of the accounting system; a company without a valid one is a test company.

    Where names or numbers differ, confirm that it is the same company. A register may answer between two
    polls.
    """
    page = _wait_for_registers(browser, page)
    for _poll in range(POLLS_MAX):
        page = _complete(browser, _confirm_same_company(browser, page, console))
        if not _is_identify_page(page):
            return page
    raise UnexpectedPage(f"{page.url} still needs attention.")


def _wait_for_registers(browser: Browser, page: HtmlPage) -> HtmlPage:
    """Wait up to a minute for the registers: an answer after the import would be an issue."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and re.search(r'id="tally"[^>]* data-waiting="[1-9]', page.text):
        time.sleep(POLL_SECONDS)
        page = browser.get(page.url)
    return page


def _is_identify_page(page: HtmlPage) -> bool:
    return page.url.split("?")[0].endswith("/identify")


def _confirm_same_company(browser: Browser, page: HtmlPage, console: Console) -> HtmlPage:
    """Tick every row with a question, read it once more, and confirm. The question returns when a register
    answered meanwhile.
    """
    discrepancy_ids = re.findall(
        r'data-discrepancy><input type="checkbox" name="discrepancy" value="(\d+)"', page.text
    )
    if not discrepancy_ids:
        return page
    page = browser.submit(
        page, _identities(page), {"discrepancy": discrepancy_ids}, button="action", value="same"
    )
    for _poll in range(POLLS_MAX):
        question = next((form for form in page.forms if "confirmed" in form.names), None)
        if question is None:
            break
        rows = re.findall(r"<td>([^<]+)</td><td [^>]*>([^<]*)</td>\s*<td [^>]*>([^<]*)</td>", page.text)
        console.print(f"{len(rows)} times “Is this the same company?”, answered yes:")
        for row in rows:
            console.print(f"  {unescape(' · '.join(row))}", markup=False)
        page = browser.submit(page, question, {})
    return page


def _complete(browser: Browser, page: HtmlPage) -> HtmlPage:
    form = _identities(page)
    empty = [
        name.removeprefix("number-")
        for name, value in form.fields
        if name.startswith("number-") and not value
    ]
    invalid_keys = re.findall(r'name="number-(\d+)"[^>]* aria-invalid="true"', page.text)
    values: dict[str, Any] = {}
    for key in {*empty, *invalid_keys}:
        values |= {f"number-{key}": "", f"reason-{key}": "test_demo", f"sector-{key}": "N"}
    # Files of several years of one company have one number.
    for key in re.findall(r'data-shared>.*?name="shared_reason-(\d+)"', page.text, re.DOTALL):
        values[f"shared_reason-{key}"] = "several_administrations"
    page = browser.submit(page, form, values, button="action", value="next")
    closed = next((form for form in page.forms if "confirmed" in form.names), None)
    return browser.submit(page, closed, {}) if closed else page


def _identities(page: HtmlPage) -> HtmlForm:
    for form in page.forms:
        if any(name.startswith("number-") for name in form.names):
            return form
    raise UnexpectedPage(f"{page.url} is not the Identify step. It begins: {page.excerpt}")


def _wait_until_settled(
    browser: Browser, smoke_run: SmokeRun, import_id: int, console: Console
) -> list[dict[str, Any]]:
    """Poll until every administration is settled or the time is over."""
    deadline = time.monotonic() + smoke_run.timeout_seconds
    with Live(console=console, refresh_per_second=4, transient=True) as live:
        while True:
            statuses = _fetch_statuses(browser, smoke_run, import_id)
            if statuses is not None:
                live.update(_progress(statuses))
            is_late = time.monotonic() > deadline
            if statuses is not None and (is_late or all(status["status"] in SETTLED for status in statuses)):
                return statuses
            if is_late:
                raise UnexpectedPage(f"{smoke_run.public_url} does not answer.")
            smoke_run.on_poll()
            time.sleep(POLL_SECONDS)


def _fetch_statuses(browser: Browser, smoke_run: SmokeRun, import_id: int) -> list[dict[str, Any]] | None:
    """Return the administrations of the import. None: the web does not answer; the import continues, and the
    web restarts.
    """
    try:
        response = browser.get(
            f"{smoke_run.public_url}/api/v1/administrations?import_id={import_id}&limit=1000"
        )
    except OSError:
        return None
    if response.status != 200:
        raise UnexpectedPage(f"{response.url} answered {response.status}.")
    items: list[dict[str, Any]] = json.loads(response.text)["items"]
    return items


def _progress(statuses: list[dict[str, Any]]) -> Table:
    table = Table("Status", "Administrations", title="Importing")
    counts: dict[str, int] = {}
    for item in statuses:
        counts[item["status"]] = counts.get(item["status"], 0) + 1
    for status, count in sorted(counts.items()):
        table.add_row(status, str(count))
    return table


def _result(browser: Browser, smoke_run: SmokeRun, administration: dict[str, Any]) -> AdministrationResult:
    base = f"{smoke_run.public_url}/api/v1/administrations/{administration['id']}"
    books = json.loads(browser.get(f"{base}/books").text)
    runs = json.loads(browser.get(f"{base}/sync/runs").text)
    issues = json.loads(browser.get(f"{base}/issues").text)
    company = json.loads(
        browser.get(f"{smoke_run.sandbox_url}/__sandbox__/companies/{administration['source_id']}").text
    )
    seconds = runs[-1]["seconds"] if runs else None
    return AdministrationResult(
        name=administration["name"],
        source=company["source"],
        status=administration["status"],
        seconds=round(seconds, 1) if seconds is not None else None,
        rows=books["rows"],
        debit=books["debit"],
        issues=[issue["message"] for issue in issues],
    )


def _table(results: list[AdministrationResult], seconds: float) -> Table:
    columns = ("accounts", "contacts", "balances", "entries", "entry_lines")
    table = Table(title=f"Imported in {seconds} s", box=box.SIMPLE_HEAD)
    table.add_column("Administration", no_wrap=True, max_width=34)
    for column in ("Status", *columns, "Issues", "Seconds"):
        heading = column.replace("_", " ").capitalize()
        table.add_column(heading, no_wrap=True, justify="left" if column == "Status" else "right")
    for result in results:
        figures = [f"{result.rows.get(key, 0):,}" for key in columns]
        table.add_row(
            Text(result.name), result.status, *figures, str(len(result.issues)), str(result.seconds)
        )
    return table
