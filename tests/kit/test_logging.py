"""What is logged can be read by machines, carries its context, and never contains a secret."""

import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from koppel.kit.logging import configure, log_context
from koppel.kit.secrets import Secret


@pytest.fixture(autouse=True)
def _restore_logging() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


@pytest.fixture
def lines(capsys: pytest.CaptureFixture[str]) -> Any:
    def read() -> list[dict[str, Any]]:
        captured = capsys.readouterr()
        assert captured.out == ""
        return [json.loads(line) for line in captured.err.splitlines()]

    return read


def test_a_line_is_json_and_carries_run_and_administration(lines: Any) -> None:
    configure(human=False)
    with log_context(run=7, administration=3):
        structlog.get_logger("koppel.sync").info("page_committed", rows=500)
    structlog.get_logger("koppel.sync").info("idle")
    first, second = lines()
    assert (first["event"], first["run"], first["administration"], first["rows"]) == ("page_committed", 7, 3, 500)
    assert first["level"] == "info"
    assert "run" not in second


@pytest.mark.parametrize(
    "facts",
    [
        {"access_token": "hunter2-hunter2"},
        {"Authorization": "Bearer hunter2-hunter2"},
        {"headers": {"authorization": "hunter2-hunter2"}},
        {"items": [{"client_secret": "hunter2-hunter2"}]},
        {"anything": Secret("hunter2-hunter2")},
        {"body": "grant_type=refresh_token&refresh_token=hunter2-hunter2&x=1"},
        {"body": '{"access_token": "hunter2-hunter2", "n": 1}'},
        {"reason": "refused Bearer hunter2-hunter2"},
        {"url": "postgresql://koppel_app:hunter2-hunter2@127.0.0.1:5432/koppel"},
    ],
)
def test_secrets_are_redacted(lines: Any, facts: dict[str, Any]) -> None:
    configure(human=False)
    structlog.get_logger().warning("something", **facts)
    (line,) = lines()
    assert "hunter2" not in json.dumps(line)
    assert "[redacted]" in json.dumps(line)


def test_facts_about_a_secret_stay(lines: Any) -> None:
    configure(human=False)
    structlog.get_logger().info("refreshed", token_age_seconds=3600, token_endpoint="https://id.example/token")
    (line,) = lines()
    assert line["token_age_seconds"] == 3600
    assert line["token_endpoint"] == "https://id.example/token"


def test_other_libraries_and_exceptions_come_the_same_way_and_redacted(lines: Any) -> None:
    configure(human=False)
    try:
        raise RuntimeError("password=hunter2-hunter2")
    except RuntimeError:
        logging.getLogger("django.request").exception("Internal error: %s", "/x")
    (line,) = lines()
    assert line["event"] == "Internal error: /x"
    assert "RuntimeError" in line["exception"]
    assert "hunter2" not in json.dumps(line)


def test_a_persons_company_number_is_masked_in_logs_and_a_companys_is_not(lines: Any) -> None:
    configure(human=False)
    structlog.get_logger("koppel.registers").info(
        "asked", number="19640823-3234", text="no 640823-3234, but 556036-0793"
    )
    (line,) = lines()
    assert (line["number"], line["text"]) == ("19640823-****", "no 640823-****, but 556036-0793")
