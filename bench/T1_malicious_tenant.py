"""What one firm feels of another that attacks: pages, mail, renewed tokens and syncs, before and meanwhile.

The attacker has one SQL reader with as many sessions as it may have, twelve exports at a time, 500 webhook
tests for a receiver that never answers, 5,000 queued runs and 50 browser sessions. It runs in a process of
lower priority and in a scheduling group of its own, since in reality it would have machines of its own.

For comparison the same is measured, without a target, while a process of that priority computes and nobody
attacks: so much of the figures is the machine's.
"""

import contextlib
import itertools
import multiprocessing
import os
import socket
import statistics
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg

from bench._app import BenchApp, bench_app, worker
from bench._served_organisation import served_web, signed_in

ADMINISTRATIONS, LINES_OF_EXPORT = 5000, 8000
EXPORTS, TESTS, SESSIONS, SQL_SESSIONS = 12, 500, 50, 4
ROUNDS = int(os.environ.get("KOPPEL_BENCH_ROUNDS", "20"))
TIMES_MAX = 2.0
LEAST_SECONDS = 0.1
"""A figure below this counts as this: twice a few milliseconds is nothing that a person notices."""
WARM_UP_SECONDS = 5.0
BACKGROUND_NICENESS = 10
KINDS = ("exports", "pages", "webhook tests", "SQL")


@dataclass(frozen=True, kw_only=True)
class Attack:
    """What the attacking process knows."""

    web: str
    cookies: list[str]
    token: str
    reader_url: str
    webhook_id: int
    administration_id: int
    organisation_id: int


def run() -> list[dict[str, Any]]:
    os.environ["KOPPEL_WEBHOOK_NETWORKS"] = "127.0.0.0/8"
    with bench_app(companies=8, lines=200) as app, _silent_receiver() as receiver_url:
        victim = app.company(1)
        attacker = _attacker(app, receiver_url)
        with served_web() as port, worker(app):
            actions = _deeds(app, victim, f"http://127.0.0.1:{port}")
            for action in actions.values():
                action()
            quiet = _measure(actions)
            with _background(spin_for_ever):
                computing = _measure(actions)
            with _attacking(app, _attack_of(app, attacker, port)):
                attacked = _measure(actions)
    return [
        *(
            _figure(name, "under attack", quiet[name], attacked[name]) | _target(quiet[name], attacked[name])
            for name in actions
        ),
        *(_figure(name, "beside a computing process", quiet[name], computing[name]) for name in actions),
    ]


def _figure(name: str, condition: str, quiet: list[float], meanwhile: list[float]) -> dict[str, Any]:
    before, then = _percentile(quiet), _percentile(meanwhile)
    return {
        "name": f"{name} {condition}, 95th percentile, times that without",
        "value": _times(quiet, meanwhile),
        "unit": "times",
        "compared_with": f"{before * 1000:.0f} ms without, {then * 1000:.0f} ms {condition}",
    }


def _target(quiet: list[float], attacked: list[float]) -> dict[str, Any]:
    return {"to_reach": TIMES_MAX, "holds": _times(quiet, attacked) <= TIMES_MAX}


def _times(quiet: list[float], meanwhile: list[float]) -> float:
    return round(max(_percentile(meanwhile), LEAST_SECONDS) / max(_percentile(quiet), LEAST_SECONDS), 2)


def _percentile(seconds: list[float]) -> float:
    return statistics.quantiles(seconds, n=20)[18]


def _measure(actions: dict[str, Callable[[], None]]) -> dict[str, list[float]]:
    seconds: dict[str, list[float]] = {name: [] for name in actions}
    for number in range(ROUNDS):
        for name, action in actions.items():
            began = time.perf_counter()
            action()
            seconds[name].append(time.perf_counter() - began)
        sys.stderr.write(f"round {number}: {', '.join(f'{k} {v[-1]:.2f}' for k, v in seconds.items())}\n")
    return seconds


def _deeds(app: BenchApp, victim: Any, web: str) -> dict[str, Callable[[], None]]:
    """What the victim does, by name; each returns when it is done."""
    from koppel.connections.models import Grant
    from koppel.kit.clock import now
    from koppel.kit.tenancy import organisation_scope
    from koppel.organisations.access.api_tokens import create_token
    from koppel.organisations.invitations.inputs import InvitationInput
    from koppel.organisations.invitations.services import invite
    from koppel.organisations.roles import Role
    from koppel.sync.models import OPEN_STATES, Run
    from koppel.sync.runs.services import request_first_runs, request_run

    actor, connection_id = victim.actor, app.connected.connection.pk
    cookie, mail = signed_in(actor.user_id), Path(os.environ["KOPPEL_MAIL_DIR"])
    numbers = itertools.count()
    with organisation_scope(actor.organisation_id):
        token = create_token(actor, name="test", days=30, role=None, read_only=False)[1].reveal()

    def refresh() -> None:
        with organisation_scope(actor.organisation_id):
            Grant.objects.filter(connection_id=connection_id).update(
                issued_at=now() - timedelta(hours=1), expires_at=now()
            )
        _post(f"{web}/api/v1/connections/{connection_id}/test", token)

    def send_mail() -> None:
        address = f"guest{next(numbers)}@example.test"
        with organisation_scope(actor.organisation_id):
            invite(actor, InvitationInput(email=address, name="Guest", role=Role.READER))
        _wait_until(lambda: any(address in file.read_text() for file in _newest(mail)))

    def sync() -> None:
        with organisation_scope(actor.organisation_id):
            if Run.objects.exists():
                request_run(actor, victim.administration_id)
            else:
                request_first_runs(actor, [victim.administration_id])
            run_id = Run.objects.latest("pk").pk

        def is_over() -> bool:
            with organisation_scope(actor.organisation_id):
                return Run.objects.get(pk=run_id).state not in OPEN_STATES

        _wait_until(is_over)

    return {
        "dashboard": lambda: _get(f"{web}/", cookie),
        "list": lambda: _get(f"{web}/administrations/", cookie),
        "mail": send_mail,
        "token refresh": refresh,
        "sync": sync,
    }


def _newest(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.log"), key=lambda file: file.stat().st_mtime)[-3:]


def _wait_until(holds: Callable[[], bool], seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            raise RuntimeError("The attack stopped the victim for two minutes.")
        time.sleep(0.02)


def _get(url: str, cookie: str) -> None:
    request = urllib.request.Request(url, headers={"Cookie": cookie, "Host": "localhost"})
    with urllib.request.urlopen(request, timeout=120) as answer:
        answer.read()


def _post(url: str, token: str) -> None:
    headers = {"Authorization": f"Bearer {token}", "Host": "localhost"}
    with urllib.request.urlopen(urllib.request.Request(url, b"", headers), timeout=120) as answer:
        answer.read()


def _attacker(app: BenchApp, receiver_url: str) -> Any:
    """Create the attacking firm with its administrations, books, webhook and queued runs."""
    from koppel.kit.tenancy import installation_scope, organisation_scope
    from koppel.notifications.webhooks.endpoints import create_webhook
    from koppel.notifications.webhooks.inputs import WebhookInput
    from koppel.organisations.models import Membership, Organisation, User
    from koppel.organisations.roles import Actor, Role
    from tests.administrations.factories import create_firm

    with installation_scope("benchmark"):
        organisation = Organisation.objects.create(name="Attacker")
        user = User.objects.create_user("attacker@example.test", "not used", name="Attacker")
        member = Membership.objects.create(organisation=organisation, user=user, role=Role.ADMINISTRATOR)
    admin = Actor(
        organisation_id=organisation.pk,
        membership_id=member.pk,
        user_id=user.pk,
        name=user.name,
        role=Role.ADMINISTRATOR,
    )
    firm = create_firm(admin, ADMINISTRATIONS, status="deactivated")
    with organisation_scope(organisation.pk):
        webhook, _secret = create_webhook(admin, WebhookInput(name="Silent", url=receiver_url))
    with psycopg.connect(app.addresses.superuser_url) as superuser:
        superuser.execute(_LINES, [LINES_OF_EXPORT, firm.ids[0]])
        superuser.execute("ANALYZE")
    return firm, webhook


def _attack_of(app: BenchApp, attacker: Any, port: int) -> Attack:
    from koppel.books.sql_access.readers import add_reader
    from koppel.kit.tenancy import organisation_scope
    from koppel.organisations.access.api_tokens import create_token

    firm, webhook = attacker
    with organisation_scope(firm.admin.organisation_id):
        reader = add_reader(firm.admin, "attacker", administrator_url=app.addresses.superuser_url)
        token = create_token(firm.admin, name="attack", days=30, role=None, read_only=False)[1]
    return Attack(
        web=f"http://127.0.0.1:{port}",
        cookies=[signed_in(firm.admin.user_id) for _number in range(SESSIONS)],
        token=token.reveal(),
        reader_url=reader.url.reveal(),
        webhook_id=webhook.pk,
        administration_id=firm.ids[0],
        organisation_id=firm.admin.organisation_id,
    )


@contextlib.contextmanager
def _attacking(app: BenchApp, attack: Attack) -> Iterator[None]:
    counts = multiprocessing.get_context("spawn").Array("L", len(KINDS))
    with _background(attack_for_ever, attack, counts) as process:
        with psycopg.connect(app.addresses.superuser_url) as superuser:
            superuser.execute(_ACTIVATION, [attack.organisation_id])
            superuser.execute(_RUNS, [attack.organisation_id])
        _wait_until(lambda: min(counts[:]) > 0)
        time.sleep(WARM_UP_SECONDS)
        yield
        if not process.is_alive():
            raise RuntimeError("The attack ended too early.")
        attempts = ", ".join(f"{kind} {count}" for kind, count in zip(KINDS, counts, strict=True))
        sys.stderr.write(f"attempts of the attacker: {attempts}\n")


@contextlib.contextmanager
def _background(work: Callable[..., None], *arguments: Any) -> Iterator[Any]:
    """Run a function in a process beside the measurement."""
    process = multiprocessing.get_context("spawn").Process(target=work, args=arguments, daemon=True)
    process.start()
    try:
        yield process
    finally:
        process.kill()
        process.join()


def _enter_background() -> None:
    """Take a low priority, in a session whose scheduling group has a low one too."""
    os.setsid()
    os.nice(BACKGROUND_NICENESS)
    with contextlib.suppress(OSError):
        Path("/proc/self/autogroup").write_text(str(BACKGROUND_NICENESS))


def spin_for_ever() -> None:
    _enter_background()
    while True:
        pass


def attack_for_ever(attack: Attack, counts: Any) -> None:
    """Attack. `counts` has the number of attempts so far, by kind."""
    _enter_background()
    books = f"{attack.web}/administrations/{attack.administration_id}/books/entry_lines/?format=xlsx"
    pages = ["/administrations/", "/", "/issues/", "/connections/"]
    actions: list[tuple[int, Callable[[], object]]] = [
        *((0, lambda cookie=cookie: _get(books, cookie)) for cookie in attack.cookies[:EXPORTS]),
        *(
            (1, lambda cookie=cookie, number=number: _get(attack.web + pages[number % len(pages)], cookie))
            for number, cookie in enumerate(attack.cookies)
        ),
        *((2, lambda: _press_test(attack)) for _number in range(4)),
        *(
            (3, lambda number=number: _read_by_sql(attack.reader_url, number))
            for number in range(SQL_SESSIONS)
        ),
    ]
    threads = [
        threading.Thread(target=_repeat, args=(action, counts, kind), daemon=True) for kind, action in actions
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _repeat(action: Callable[[], object], counts: Any, kind: int) -> None:
    while True:
        with counts.get_lock():
            counts[kind] += 1
        try:
            action()
        except (OSError, psycopg.Error):  # refused, or ended: go on, as an attacker does
            time.sleep(0.05)


_tests_pressed = itertools.count()


def _press_test(attack: Attack) -> None:
    if next(_tests_pressed) >= TESTS:
        time.sleep(60)
    _post(f"{attack.web}/api/v1/webhooks/{attack.webhook_id}/test", attack.token)


def _read_by_sql(url: str, number: int) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SET statement_timeout = 0")
        for statement in _STATEMENTS[number % len(_STATEMENTS)]:
            with contextlib.suppress(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement.encode())


@contextlib.contextmanager
def _silent_receiver() -> Iterator[str]:
    """A receiver that accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=1000) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}/"


_STATEMENTS = (
    ("SELECT count(*) FROM books.entry_lines a, books.entry_lines b WHERE a.debit < b.debit",),
    (
        "SELECT count(pg_try_advisory_lock(n)) FROM generate_series(1, 30000) n",
        "SELECT pg_advisory_lock(1)",
        "SELECT lo_create(0)",
        "SELECT pg_sleep(0.2)",
    ),
    tuple(f"NOTIFY procrastinate_any_queue_v1, '{word}'" for word in ("x", '{"type": "job_inserted"}') * 50),
    ("BEGIN", "LOCK TABLE books.entry_lines IN ACCESS SHARE MODE", "SELECT pg_sleep(30)"),
)
_LINES = """
INSERT INTO books_entry_line (organisation_id, administration_id, external_id, partition, raw, content_hash,
  first_seen, last_changed, entry, line_number, account, debit, credit)
SELECT own.organisation_id, own.id, 'L' || n, '202601', convert_to('{"n": ' || n || '}', 'UTF8'),
       sha256(n::text::bytea), now(), now(), 'GL1', n + 2, '1000', n / 100.0, 0
  FROM generate_series(1, %s) n JOIN administrations_administration own ON own.id = %s
"""
_ACTIVATION = """
UPDATE administrations_administration SET status = 'active' WHERE organisation_id = %s
"""
"""Not earlier: they would be synced before the attack."""
_RUNS = """
INSERT INTO sync_run (organisation_id, administration_id, trigger, "full", state, attempt, failures, worker,
  requested_by, created_at, reason_code, reason)
SELECT organisation_id, id, 'manual', false, 'queued', 0, 0, '', '', now(), '', ''
  FROM administrations_administration WHERE organisation_id = %s ON CONFLICT DO NOTHING
"""
