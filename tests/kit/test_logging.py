"""Log lines are machine-readable, carry their context, and never contain a secret."""

import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from koppel.kit.encryption import Secret
from koppel.kit.logging import configure
from koppel.kit.logging.redaction import LOG_LINE


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
    with structlog.contextvars.bound_contextvars(run=7, administration=3):
        structlog.get_logger("koppel.sync").info("page_committed", rows=500)
    structlog.get_logger("koppel.sync").info("idle")
    first, second = lines()
    assert (first["event"], first["run"], first["administration"], first["rows"]) == (
        "page_committed",
        7,
        3,
        500,
    )
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


SIGNED = "WzEsMSwxXQ:1xXfBd:HUNTER2-UzRr2b1YYO0vBpcpQimTTXxPp1oBiWbYwVH"
"""As Django signs it: value, time, signature."""
JWT = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJIVU5URVIyIn0.HUNTER2HUNTER2"


@pytest.mark.parametrize(
    "text",
    [
        f"Forbidden (CSRF cookie not set.): /invitation/{SIGNED}/",
        f"Not Found: https://koppel.example/invitation//{SIGNED}/more?x=1",
        "GET /notifications/unsubscribe/HUNTER2:HUNTER2:HUNTER2 HTTP/1.1",
        "/accounts/password/reset/key/2-d4f3ab-HUNTER2/",
        "/accounts/login/?next=%2Finvitation%2FHUNTER2%3AHUNTER2%2F",
        "the key 2-d4f3ab-0123456789abcdef0123456789HUNTER is spent".replace("HUNTER", "abcdef"),
        f"the value {SIGNED} is spent",
        f"value={SIGNED}".replace(":", "%3A"),
        f"refused {JWT}.",
        f"({JWT})",
        "/sign-in/3/callback?code=HUNTER2&state=HUNTER2",
        "/callback?state=HUNTER2&iss=x&code=HUNTER2",
        "code=HUNTER2&state=HUNTER2",
        "sessionid=HUNTER2; theme=dark",
        "koppel_session=HUNTER2",
        "Cookie: theme=HUNTER2; sessionid=HUNTER2",
        'Set-Cookie: a="HUNTER2"; b=HUNTER2; Path=/',
        "{'Cookie': 'a=HUNTER2; b=HUNTER2', 'n': 1}",
        "token=HUNTER2",
        "token: HUNTER2",
        '{"token": "HUNTER2", "n": 1}',
        '{"token": "a\\"HUNTER2", "n": 1}',
        '"{\\"token\\": \\"HUNTER2 HUNTER2\\"}"',
        "api_key=HUNTER2",
        "X-Api-Key: HUNTER2",
        "[('X-Api-Key', 'HUNTER2'), ('n', 1)]",
        "{b'x-api-key': b'HUNTER2'}",
        "Authorization: Token HUNTER2",
        "secret: HUNTER2",
        "secret => HUNTER2",
        "pwd=HUNTER2",
        "host=db user=koppel pass=HUNTER2",
        "KOPPEL_SECRET_KEY=HUNTER2",
        "KOPPEL_VAULT_KEYS=a:HUNTER2,b:HUNTER2",
        "KOPPEL_VAULT_KEYS='a:HUNTER2 b:HUNTER2'",
        "password='a HUNTER2'",
        'password="a HUNTER2" and on',
        "password='a;HUNTER2'",
        "password='a&HUNTER2'",
        "password='it\\'s HUNTER2'",
        "password='never closed HUNTER2",
        "password=a;HUNTER2",
        "password=a&HUNTER2",
        "password=a,HUNTER2",
        'password=a"HUNTER2',
        'client_secret = "a\nHUNTER2"',
    ],
)
def test_no_text_carries_a_secret_or_the_tail_of_one(lines: Any, text: str) -> None:
    configure(human=False)
    structlog.get_logger().warning(text, answer=text)
    logging.getLogger("django.request").warning("%s", text)
    written = json.dumps(lines())
    assert "HUNTER2" not in written.upper()
    assert "abcdefabcdef" not in written
    assert written.count("[redacted]") >= 3


@pytest.mark.parametrize(
    "text",
    [
        "Forbidden (CSRF cookie not set.): /connections/7/change",
        "status code=404, 3 tokens left, the password is wrong",
        "token_age_seconds=3600 token_endpoint=https://id.example/token",
        "/accounts/password/reset/key/done/",
        "2026-11-29T13:40:22.123456+00:00 took 12:34:56",
        "passed=3 passes: 4 /invitations/",
    ],
)
def test_what_is_no_secret_stays_as_it_is(lines: Any, text: str) -> None:
    configure(human=False)
    structlog.get_logger().warning(text)
    assert lines()[0]["event"] == text


@pytest.mark.parametrize(
    "key", ["sessionid", "session_id", "pwd", "X-Api-Key", "KOPPEL_VAULT_KEYS", "csrf", "private_key"]
)
def test_a_value_under_a_secrets_name_is_redacted(lines: Any, key: str) -> None:
    configure(human=False)
    structlog.get_logger().warning("refused", **{key: "hunter2"})
    assert "hunter2" not in json.dumps(lines())


@pytest.mark.parametrize(
    "text",
    [
        "/invitation/QQQQQQQQ:QQQQQQ:QQQQQQQQQQQQQQQQQQQQQQQQQQQQQ/",
        "password='QQ QQ QQQQQ'",
        "eyJQQQQQ.QQQQQQ.QQQQ",
    ],
)
def test_a_link_or_a_quoted_value_is_redacted_wherever_it_is_cut(lines: Any, text: str) -> None:
    configure(human=False)
    for before in range(LOG_LINE.text - len(text) - 2, LOG_LINE.text + 2):
        structlog.get_logger().warning("refused", answer=f"{'x' * (before - 1)} {text} and so on")
    written = lines()
    assert len(written) > len(text)
    assert [line["answer"][-120:] for line in written if "Q" in line["answer"]] == []


def test_facts_about_a_secret_stay(lines: Any) -> None:
    configure(human=False)
    structlog.get_logger().info(
        "refreshed", token_age_seconds=3600, token_endpoint="https://id.example/token"
    )
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
    structlog.get_logger("koppel.company_registers").info(
        "asked", number="19640823-3234", text="no 640823-3234, but 556036-0793"
    )
    (line,) = lines()
    assert (line["number"], line["text"]) == ("19640823-****", "no 640823-****, but 556036-0793")


@pytest.mark.parametrize(
    "text",
    [
        "password=QQQQQQQQQQQQQQQQ",
        '{"refresh_token": "QQQQQQQQQQQQQQQQ"}',
        '"{\\"access_token\\": \\"QQQQQQQQQQQQQQQQ\\"}"',
        "refused Bearer QQQQQQQQQQQQQQQQ",
        "postgresql://koppel_app:QQQQQQQQQQQQQQQQ@127.0.0.1:5432/koppel",
        "smtps://koppel:QQQQ/QQQQQQ@QQQQQ@mail.firm.example:465",
        "https://koppel:QQQQQQQQQQQQQQQQ@proxy.firm.example/x",
        "KOPPEL_DATABASE_PASSWORD=QQQQQQQQQQQQQQQQ",
    ],
)
def test_a_secret_is_redacted_wherever_a_long_text_is_cut(lines: Any, text: str) -> None:
    configure(human=False)
    for before in range(LOG_LINE.text - len(text) - 2, LOG_LINE.text + 2):
        structlog.get_logger().warning("refused", answer=f"{'x' * (before - 1)} {text} and so on")
    written = lines()
    assert len(written) > len(text)
    assert [line["answer"][-120:] for line in written if "Q" in json.dumps(line)] == []
    assert all("more characters]" in line["answer"] for line in written)


def test_a_persons_company_number_is_masked_where_a_text_is_cut(lines: Any) -> None:
    configure(human=False)
    for before in range(LOG_LINE.text - 14, LOG_LINE.text + 1):
        structlog.get_logger().warning("refused", answer=f"{'x' * (before - 1)} 640823-7777 and so on")
    assert [line["answer"][-80:] for line in lines() if "7" in line["answer"].partition("…")[0]] == []


LONG = "x" * 1_000_000


@pytest.mark.parametrize(
    "facts",
    [
        {"text": LONG},
        {"bytes": LONG.encode()},
        {LONG: 1},
        {"mapping": {LONG: {LONG: LONG}}},
        {"list": [LONG] * 10_000},
        {"set": {f"{LONG}{number}" for number in range(100)}},
        {"nested": [[[[["x" * 5_000] * 60] * 60] * 60] * 60] * 60},
        {"wide": {f"key {number}": LONG for number in range(10_000)}},
        {f"key {number}": LONG for number in range(1_000)},
        {"number": 10**100_000},
        {"error": ValueError(LONG)},
    ],
)
def test_a_long_event_is_shortened(lines: Any, facts: dict[str, Any]) -> None:
    configure(human=False)
    structlog.get_logger().warning("refused", **facts)
    (line,) = lines()
    assert line["event"] == "refused"
    assert len(json.dumps(line)) < 200_000


def test_recursive_values_are_logged(lines: Any) -> None:
    configure(human=False)
    loop: dict[str, Any] = {"access_token": "hunter2-hunter2"}
    loop["again"] = [loop]
    structlog.get_logger().warning("refused", loop=loop)
    assert "hunter2" not in json.dumps(lines())


def test_no_secret_hides_in_a_value_that_is_no_text(lines: Any) -> None:
    configure(human=False)
    structlog.get_logger().warning(
        "refused",
        body=b"grant_type=refresh_token&refresh_token=hunter2-hunter2",
        error=ValueError("password=hunter2-hunter2"),
        several={"password=hunter2-hunter2"},
        by_text={"password=hunter2-hunter2": 1},
    )
    (line,) = lines()
    assert "hunter2" not in json.dumps(line)


def test_other_libraries_lines_stay_short_too(lines: Any) -> None:
    configure(human=False)
    try:
        raise RuntimeError(LONG)
    except RuntimeError:
        logging.getLogger("django.request").exception("Not Found: %s (%r)", LONG, [LONG])
    (line,) = lines()
    assert line["event"].startswith("Not Found: xxx")
    assert "RuntimeError: xxx" in line["exception"]
    assert len(json.dumps(line)) < 50_000


def test_a_long_traceback_keeps_its_beginning_and_its_end(lines: Any) -> None:
    configure(human=False)

    def even(depth: int) -> None:
        odd(depth - 1)

    def odd(depth: int) -> None:
        if depth < 0:
            raise RuntimeError("this is what happened")
        even(depth - 1)

    try:
        even(400)
    except RuntimeError:
        structlog.get_logger().exception("run_crashed")
    (line,) = lines()
    assert line["exception"].startswith("Traceback (most recent call last)")
    assert line["exception"].endswith("RuntimeError: this is what happened")
    assert "more characters]" in line["exception"]
