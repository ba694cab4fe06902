"""Ask the registries which known vulnerabilities the locked packages have (`make audit`), and compare what
they said with the lock file (`make check`).

`make audit` writes `.ci/audit.json`. A package about which a registry did not answer, or answered for another
version, is listed as `not_asked`: nothing is known about it. When none was answered no file is written.

`make check` fails on a locked package that is listed with a vulnerability, unless `accepted` below names it
with a reason. An old file, and packages that changed since, are warnings.
"""

import json
import sys
import tomllib
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

ROOT = Path(__file__).parents[1]
LOCK = ROOT / "uv.lock"
VENDORED = ROOT / "packages/koppel/src/koppel/web/static/vendor/manifest.json"
FILE = ROOT / ".ci" / "audit.json"
PYPI, NPM = "https://pypi.org", "https://registry.npmjs.org"
OLD_DAYS = 30
TIMEOUT_SECONDS = 20
accepted: dict[str, str] = {}
"""Ids of vulnerabilities that cannot be reached here, each with the reason."""

Fetch = Callable[[str, bytes | None], Any]
"""Return the JSON behind an address, by GET or by POST of a body; None without an answer."""


def main(words: list[str]) -> int:
    locked = locked_packages(LOCK, VENDORED)
    if "--check" in words:
        report = json.loads(FILE.read_text()) if FILE.exists() else None
        failures, warnings = compare(report, locked, datetime.now(UTC))
        sys.stderr.writelines(f"{line}\n" for line in (*failures, *warnings))
        return 1 if failures else 0
    report = ask(locked, fetch, datetime.now(UTC))
    if report is None:
        sys.stderr.write("No registry answered about any package: nothing is written.\n")
        return 1
    FILE.write_text(json.dumps(report, indent=1) + "\n")
    counts = {name: len(report[name]) for name in ("answered", "listed", "not_asked")}
    sys.stdout.write(
        f"{counts['answered']} answered, {counts['listed']} listed, {counts['not_asked']} not asked\n"
    )
    return compare(report, locked, datetime.now(UTC))[0] != []


def locked_packages(lock: Path, vendored: Path) -> list[str]:
    """Return `pypi/name==version` of everything locked, and `npm/…` of what pages bring along."""
    packages = tomllib.loads(lock.read_text())["package"]
    pinned = {
        f"pypi/{entry['name']}=={entry['version']}" for entry in packages if "registry" in entry["source"]
    }
    manifest = json.loads(vendored.read_text())["packages"]
    return sorted(pinned | {f"npm/{entry['name']}=={entry['version']}" for entry in manifest})


def ask(packages: list[str], get: Fetch, now: datetime) -> dict[str, Any] | None:
    """Return the report; None when no package was answered."""
    answers: dict[str, list[dict[str, Any]] | None] = _ask_npm(
        [entry for entry in packages if entry.startswith("npm/")], get
    )
    for package in packages:
        if package.startswith("pypi/"):
            answers[package] = _ask_pypi(package, get)
    answered = {package: flaws for package, flaws in answers.items() if flaws is not None}
    if not answered:
        return None
    return {
        "asked_at": now.isoformat(timespec="seconds"),
        "answered": sorted(answered),
        "listed": {package: flaws for package, flaws in sorted(answered.items()) if flaws},
        "not_asked": sorted(set(packages) - set(answered)),
    }


def compare(report: dict[str, Any] | None, locked: list[str], now: datetime) -> tuple[list[str], list[str]]:
    """Return what must be repaired, and what a person should know."""
    if report is None:
        return [], ["Dependencies: never audited; `make audit` asks the registries."]
    failures = [
        f"{package} has {entry['id']}{_fix(entry)}; see .ci/audit.json."
        for package, flaws in report["listed"].items()
        for entry in flaws
        if package in locked and entry["id"] not in accepted
    ]
    warnings = []
    if (age := (now - datetime.fromisoformat(report["asked_at"])).days) > OLD_DAYS:
        warnings.append(f"Dependencies: audited {age} days ago; run `make audit`.")
    if changed := set(locked) - set(report["answered"]) - set(report["not_asked"]):
        warnings.append(f"Dependencies: {len(changed)} changed since the audit; run `make audit`.")
    if unknown := set(report["not_asked"]) & set(locked):
        warnings.append(f"Dependencies: the registries did not answer about {len(unknown)} of {len(locked)}.")
    return failures, warnings


def fetch(address: str, body: bytes | None) -> Any:
    headers = {"Accept": "application/json", "Content-Type": "application/json"}
    request = Request(address, data=body, headers=headers)  # noqa: S310 - always https
    try:
        with urlopen(request, timeout=TIMEOUT_SECONDS) as answer:  # noqa: S310 - always https
            return json.load(answer)
    except HTTPError as refusal:
        refusal.close()
        return None
    except (OSError, ValueError):
        return None


def _ask_pypi(package: str, get: Fetch) -> list[dict[str, Any]] | None:
    """Return the vulnerabilities of entry package. Some mirrors answer for the newest version only."""
    name, version = package.removeprefix("pypi/").split("==")
    answer = get(f"{PYPI}/pypi/{name}/{version}/json", None) or get(f"{PYPI}/pypi/{name}/json", None)
    if not isinstance(answer, dict) or "vulnerabilities" not in answer:
        return None
    if answer.get("info", {}).get("version") != version:
        return None
    return [
        {"id": entry["id"], "summary": (entry.get("summary") or entry.get("details") or "")[:200],
         "fixed_in": entry.get("fixed_in") or []}
        for entry in answer["vulnerabilities"]
        if not entry.get("withdrawn")
    ]  # fmt: skip


def _ask_npm(packages: list[str], get: Fetch) -> dict[str, list[dict[str, Any]] | None]:
    pairs = [package.removeprefix("npm/").rsplit("==", 1) for package in packages]
    body = json.dumps({name: [version] for name, version in pairs}).encode()
    answer = get(f"{NPM}/-/npm/v1/security/advisories/bulk", body) if packages else None
    if not isinstance(answer, dict):
        return dict.fromkeys(packages)
    return {
        package: [
            {"id": str(entry["url"]).rpartition("/")[2], "summary": entry["title"], "fixed_in": []}
            for entry in answer.get(name, [])
        ]
        for package, (name, _version) in zip(packages, pairs, strict=True)
    }


def _fix(vulnerability: dict[str, Any]) -> str:
    fixed = vulnerability["fixed_in"]
    return f", fixed in {', '.join(fixed)}" if fixed else ""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
