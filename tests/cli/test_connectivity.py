"""Checks of the public address and the mail server, by `koppel check` and `koppel up`."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from koppel.cli import first_steps
from koppel.cli.checks.connectivity import check_addresses, check_mail, send_test_mail
from koppel.cli.checks.result import CheckFinding
from tests.notifications.smtp import MailServer, serve

FREE = 1
"""Nobody listens there, so nobody is asked whether Koppel answers."""


@contextmanager
def mail_server() -> Iterator[MailServer]:
    server = MailServer()
    stop = serve(server)
    try:
        yield server
    finally:
        stop()


def address_findings(
    monkeypatch: pytest.MonkeyPatch, url: str, port: int = FREE, **more: str
) -> list[CheckFinding]:
    for name, value in {"KOPPEL_PUBLIC_URL": url, "KOPPEL_PROXIES": "0", **more}.items():
        monkeypatch.setenv(name, value)
    return list(check_addresses(port))


def test_a_correct_public_address_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    (result,) = address_findings(monkeypatch, "https://koppel.firm.example", KOPPEL_PROXIES="1")
    assert (result.is_ok, result.is_advice) == (True, False)


@pytest.mark.parametrize(
    "url", ["koppel.firm.example", "https://", "https://firm.example/koppel", "http://firm.example"]
)
def test_an_unusable_public_address_fails(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    assert not address_findings(monkeypatch, url)[0].is_ok


def test_this_machine_alone_and_an_unknown_proxy_are_advice(monkeypatch: pytest.MonkeyPatch) -> None:
    (local,) = address_findings(monkeypatch, "http://localhost:8400")
    assert local.is_advice
    assert "this machine alone" in local.text
    _address, proxy = address_findings(monkeypatch, "https://koppel.firm.example")
    assert proxy.is_advice
    assert "KOPPEL_PROXIES" in proxy.text


def test_an_address_of_another_program_is_reported(monkeypatch: pytest.MonkeyPatch, free_port: int) -> None:
    with mail_server() as server:  # something listens on the web's port, and nothing at the address
        (result,) = address_findings(monkeypatch, f"http://localhost:{free_port}", server.port)
    assert not result.is_ok
    assert "does not answer from here" in result.text


def test_the_mail_server_is_checked(settings: Any) -> None:
    settings.SENDS_MAIL, settings.EMAIL_HOST = True, "127.0.0.1"
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    with mail_server() as server:
        settings.EMAIL_PORT = server.port
        assert check_mail().is_ok
        assert send_test_mail("anna@firm.example").is_ok
        assert server.accepted[0]["To"] == "anna@firm.example"
    assert not check_mail().is_ok
    assert not send_test_mail("anna@firm.example").is_ok


@pytest.mark.parametrize(
    ("url", "is_ok"), [("http://localhost:8400", True), ("https://koppel.firm.example", False)]
)
def test_files_instead_of_mail_are_wrong_where_others_are_to_get_it(
    monkeypatch: pytest.MonkeyPatch, settings: Any, tmp_path: Any, url: str, is_ok: bool
) -> None:
    settings.SENDS_MAIL, settings.EMAIL_FILE_PATH = False, str(tmp_path / "mail")
    monkeypatch.setenv("KOPPEL_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("KOPPEL_PUBLIC_URL", url)
    result = check_mail()
    assert result.is_ok is is_ok
    assert "no mail is sent" in result.text
    monkeypatch.setenv("KOPPEL_DATA_DIR", str(tmp_path / "elsewhere"))
    assert check_mail().is_ok, "Somebody chose the folder."


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("smtp://mail.firm.example", "mail.firm.example 25 '' '' False False"),
        (
            "smtps://k%40firm.example:p%3Aw@mail.firm.example:587",
            "mail.firm.example 587 'k@firm.example' 'p:w' True False",
        ),
        ("smtps://k:p@mail.firm.example:465", "mail.firm.example 465 'k' 'p' False True"),
    ],
)
def test_an_address_of_a_mail_server_is_read(url: str, expected: str) -> None:
    code = (
        "from koppel.settings import *; "
        "print(EMAIL_HOST, EMAIL_PORT, repr(EMAIL_HOST_USER), repr(EMAIL_HOST_PASSWORD), EMAIL_USE_TLS, "
        "EMAIL_USE_SSL)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env={"KOPPEL_SMTP_URL": url}, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == expected


def test_the_first_lines_say_what_to_do() -> None:
    facts = {"KOPPEL_DATA_DIR": "/srv/my data", "KOPPEL_MAIL_DIR": "/srv/my data/mail"}
    lines = "\n".join(first_steps.describe_first_steps("empty", facts))
    assert "KOPPEL_DATA_DIR='/srv/my data' " in lines
    assert "koppel organisations create --name" in lines
    assert "no mail is sent" in lines
    assert "koppel people recovery-link" in "\n".join(first_steps.describe_first_steps("waiting", facts))
    ready = {"KOPPEL_DATA_DIR": "/srv/data", "KOPPEL_PUBLIC_URL": "http://localhost:8400"}
    assert list(first_steps.describe_first_steps("ready", ready)) == []
    (line,) = first_steps.describe_first_steps("ready", ready, "0.0.0.0")
    assert "KOPPEL_PUBLIC_URL" in line
