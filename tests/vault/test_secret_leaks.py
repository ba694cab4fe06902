"""An organisation connects, imports, syncs and loses its consent; then all output is searched for secrets."""

import json
import os
import pickle
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import psycopg
import pytest
from django.test import Client

from koppel.cli.checks.installation import run_checks
from koppel.cli.checks.support_bundle import write_bundle
from koppel.connections.consent.attempts import begin_attempt
from koppel.connections.models import ConsentPurpose, Grant, RemoteCompany
from koppel.kit.clock import now
from koppel.kit.encryption import Secret
from koppel.kit.tenancy import organisation_scope
from koppel.organisations.models import User
from koppel.sync.models import Run
from tests.fixtures.stack import (
    CLIENT_SECRET,
    CLIENTS,
    PATIENCE_SECONDS,
    Connected,
    MakeConnected,
    wait_until,
)
from tests.vault.assertions import all_command_output


def test_no_secret_in_logs_addresses_jobs_answers_mail_tables_commands_or_support_bundle(
    connected: MakeConnected,
    database_addresses: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    free_port: int,
) -> None:
    monkeypatch.chdir(tmp_path)
    log = tmp_path / "worker.log"
    with _record_jobs(database_addresses.superuser_url) as jobs, _worker(log):
        firm = connected()
        # However late an answer that was not understood is followed by another question, the consent lives.
        firm.sandbox.client(CLIENTS["company_list"], grace_seconds=3600)
        runs = _import_two(firm)
        wait_until(lambda: _has_ended_runs(firm, runs))
        _end_access_tokens(firm)
        _sync(firm)
        wait_until(lambda: "grant_refreshed" in log.read_text())
        wait_until(lambda: _has_ended_runs(firm, runs))
        firm.sandbox.fault("/connect/token", kind="garbage", times=1)
        _end_access_tokens(firm)
        _sync(firm)
        wait_until(lambda: "grant_refresh_failed" in log.read_text())
        firm.sandbox.fault(
            "/connect/token", kind="replace", old=": 3600", body=': 3600, "deep": ' + "[" * 20_000
        )
        _end_access_tokens(firm)
        wait_until(lambda: log.read_text().count("grant_refresh_failed") > 1)
        firm.sandbox.control("revoke", {})
        _end_access_tokens(firm)
        wait_until(lambda: "grant_lost" in log.read_text())
        job_arguments = jobs()
        web_log, web_answers = _exercise_web_process(firm, tmp_path / "web.log", free_port)
    bundle = tmp_path / "support.zip"
    write_bundle(bundle, run_checks(8499))
    with zipfile.ZipFile(bundle) as parts:
        bundled = "\n".join(parts.read(name).decode() for name in parts.namelist())
        assert {"check.json", "settings.json", "state.json", "versions.json"} <= set(parts.namelist())
    mails = [file.read_text() for file in Path(os.environ["KOPPEL_MAIL_DIR"]).glob("*") if file.is_file()]
    places = {
        "a log line or a traceback": log.read_text(),
        "a log line of the web": web_log,
        "an answer of the web to a stranger": web_answers,
        "an address": "\n".join(
            f"{call['path']} {call['query']}"
            for call in firm.sandbox.calls()
            if "authorize" not in call["path"]
        ),
        "a job's arguments": job_arguments,
        "an answer of the API or a page": "\n".join(_answers(firm)),
        "a mail": "\n".join(mails),
        "a table": _tables(database_addresses.superuser_url),
        "the support bundle": bundled,
        "what a command prints": all_command_output(firm),
    }
    assert all(len(text) > 50 for name, text in places.items() if name not in MAY_BE_EMPTY), (
        "Something was not looked at."
    )
    secrets = _secrets(firm)
    assert len(secrets) > 8
    leaks = [
        (source, name)
        for source, text in places.items()
        for name, secret in secrets.items()
        if secret in text
    ]
    assert leaks == []


MAY_BE_EMPTY = ("a mail",)


def _exercise_web_process(firm: Connected, log: Path, port: int) -> tuple[str, str]:
    """A real web process gets codes and tokens in addresses, forms and headers.

    What it wrote down, and answered.
    """
    command = [sys.executable, "-m", "koppel.cli", "web", "--port", str(port)]
    answers = []
    with log.open("wb") as words:
        process = subprocess.Popen(command, env=dict(os.environ), stdout=words, stderr=words)
    try:
        wait_until(lambda: _answer(port, "/accounts/login/") is not None)
        with organisation_scope(firm.actor.organisation_id):
            url = begin_attempt(firm.actor, firm.app.pk, ConsentPurpose.CONNECT, "/connections/")
        fields = urlencode(firm.sandbox.sign_in(url))
        token = {"Authorization": f"Bearer {firm.sandbox.control('tokens?texts=1')['texts'][0]}"}
        for path in (
            f"/connections/consent/callback?{fields}",
            f"/connections/consent/callback?{fields}&state=made-up",
        ):
            answers.append(_answer(port, path))
        answers.append(_answer(port, "/connections/consent/callback", form=fields.encode()))
        answers.append(_answer(port, "/api/v1/connections", headers=token))
        answers.append(_answer(port, "/\0", headers=token, form=b"\xff" * 100))
    finally:
        process.terminate()
        process.wait()
    return log.read_text(), "\n".join(one or "" for one in answers)


def _answer(
    port: int, path: str, *, form: bytes | None = None, headers: dict[str, str] | None = None
) -> str | None:
    """Head and body; None while nobody listens."""
    connection = HTTPConnection("127.0.0.1", port, timeout=PATIENCE_SECONDS)
    kind = {"Content-Type": "application/x-www-form-urlencoded"} if form is not None else {}
    try:
        connection.request(
            "GET" if form is None else "POST", quote(path, "/?=&%"), form, {**kind, **(headers or {})}
        )
        answer = connection.getresponse()
        return f"{answer.status} {answer.headers} {answer.read().decode(errors='replace')}"
    except ConnectionError:
        return None
    finally:
        connection.close()


def _secrets(firm: Connected) -> dict[str, str]:
    """Every token and code that the vendor ever handed out, and our own."""
    issued = firm.sandbox.control("tokens?texts=1")["texts"]
    passwords = [
        re.search(r"://[^:]+:([^@]+)@", os.environ[name])
        for name in ("DATABASE_URL", "KOPPEL_OWNER_DATABASE_URL")
    ]
    secret_texts = [
        CLIENT_SECRET,
        os.environ["KOPPEL_SECRET_KEY"],
        os.environ["KOPPEL_VAULT_KEYS"].partition(":")[2],
    ]
    secret_texts += [match[1] for match in passwords if match]
    return {f"issued {number}": text for number, text in enumerate(issued)} | {
        f"own {n}": secret_text for n, secret_text in enumerate(secret_texts)
    }


def _answers(firm: Connected) -> Iterator[str]:
    client = Client()
    client.force_login(User.objects.get(pk=firm.actor.user_id))
    described = client.get("/api/v1/openapi.json").json()["paths"]
    pages = [
        "/",
        "/connections/",
        f"/connections/{firm.connection.pk}/",
        "/administrations/",
        "/activity/",
        "/notifications/",
    ]
    for path in [*(one for one in described if "{" not in one), *pages]:
        answer = client.get(path, follow=True)
        yield f"{path} {answer.status_code}"
        yield (
            b"".join(answer).decode(errors="replace")
            if answer.streaming
            else answer.content.decode(errors="replace")
        )
    for path in described:
        if "/connections/{" in path:
            yield client.get(re.sub(r"\{[^}]+\}", str(firm.connection.pk), path)).content.decode(
                errors="replace"
            )


def _tables(superuser_url: str) -> str:
    """Every row of every table as text, bytes decoded: a token belongs nowhere but under its seal."""
    texts = []
    with psycopg.connect(superuser_url) as connection:
        names = connection.execute(
            "SELECT c.relname FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace "
            "AND c.relkind IN ('r', 'p')"
        ).fetchall()
        for (name,) in names:
            for row in connection.execute(f'SELECT * FROM "{name}"'.encode()).fetchall():
                texts += [
                    bytes(value).decode(errors="replace")
                    if isinstance(value, bytes | memoryview)
                    else str(value)
                    for value in row
                ]
    return "\n".join(texts)


def _import_two(firm: Connected) -> int:
    from koppel.administrations.services import NewAdministration, import_companies
    from koppel.sync.runs.services import request_first_runs

    with organisation_scope(firm.actor.organisation_id):
        companies = RemoteCompany.objects.order_by("pk").values_list("pk", flat=True)[:2]
        requested = [NewAdministration(remote_company_id=one) for one in companies]
        ids = import_companies(firm.actor, firm.connection.pk, 1, requested)
        return request_first_runs(firm.actor, ids)


def _sync(firm: Connected) -> None:
    from koppel.administrations.models import Administration
    from koppel.sync.runs.services import request_run

    with organisation_scope(firm.actor.organisation_id):
        for administration in Administration.objects.all():
            request_run(firm.actor, administration.pk)


def _has_ended_runs(firm: Connected, runs: int) -> bool:
    with organisation_scope(firm.actor.organisation_id):
        ended = Run.objects.exclude(state__in=["queued", "running"]).count()
        return ended >= runs and not Run.objects.filter(state__in=["queued", "running"]).exists()


def _end_access_tokens(firm: Connected) -> None:
    with organisation_scope(firm.actor.organisation_id):
        Grant.objects.update(expires_at=now(), retry_at=None, maintain_at=now())


@contextmanager
def _worker(log: Path) -> Iterator[None]:
    with log.open("wb") as words:
        process = subprocess.Popen(
            [sys.executable, "-m", "koppel.cli", "worker"], env=dict(os.environ), stderr=words
        )
    try:
        yield
    finally:
        process.kill()
        process.wait()


@contextmanager
def _record_jobs(superuser_url: str) -> Iterator[Any]:
    """What any job was given, also after it is done and gone."""
    with psycopg.connect(superuser_url, autocommit=True) as connection:
        connection.execute("CREATE TABLE public.jobs_seen (facts text)")
        connection.execute("GRANT INSERT ON public.jobs_seen TO PUBLIC")
        connection.execute(
            "CREATE FUNCTION public.see_job() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS"
            " 'BEGIN INSERT INTO public.jobs_seen VALUES (NEW::text); RETURN NEW; END'"
        )
        connection.execute(
            "CREATE TRIGGER see_job BEFORE INSERT ON procrastinate_jobs FOR EACH ROW EXECUTE FUNCTION "
            "public.see_job()"
        )
        try:
            yield lambda: "\n".join(
                row[0] for row in connection.execute("SELECT facts FROM public.jobs_seen").fetchall()
            )
        finally:
            connection.execute("DROP TRIGGER see_job ON procrastinate_jobs")
            connection.execute("DROP FUNCTION public.see_job()")
            connection.execute("DROP TABLE public.jobs_seen")


def test_a_secret_cannot_be_written_down_by_accident() -> None:
    secret = Secret("hush")
    assert not any("hush" in text for text in (repr([secret]), str(secret), f"{secret:>20}", f"{secret!r}"))
    for write in (pickle.dumps, json.dumps):
        with pytest.raises(TypeError) as refusal:
            write(secret)
        assert "hush" not in str(refusal.value)
