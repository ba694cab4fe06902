"""Ask the registries which known vulnerabilities the locked packages have (`make audit`), and compare what
they said with the lock file (`make check`).

`make audit` writes `.ci/audit.json`. A registry is believed only when it lists a vulnerability of its
control, an old version that is known to have some: a mirror may leave them out of its answers, and that would
look like health. Where it does not, or does not answer about a package, that is listed as `not_asked`:
nothing is known about it. When none was answered no file is written.

`make check` fails on a locked package that is listed with a vulnerability, unless `accepted` below names it
with a reason. An old file, and packages that changed since, are warnings.
"""

import contextlib
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

CONTROLS = {"pypi": "pypi/django==3.2", "npm": "npm/lodash==4.17.15"}
"""Of each registry a version with known vulnerabilities."""

Flaws = list[dict[str, Any]]
Fetch = Callable[[str, bytes | None], Any]
"""Return the JSON behind an address, by GET or by POST of a body. Raises `NoAnswer`."""


class NoAnswer(Exception):
    """A registry that did not answer, or not with what was asked for."""


def main(words: list[str]) -> int:
    locked = locked_packages(LOCK, VENDORED)
    if "--check" in words:
        report = json.loads(FILE.read_text()) if FILE.exists() else None
        failures, warnings = compare(report, locked, datetime.now(UTC))
        sys.stderr.writelines(f"{line}\n" for line in (*failures, *warnings))
        return 1 if failures else 0
    report = ask(locked, fetch, datetime.now(UTC))
    sys.stderr.writelines(f"{registry}: {reason}\n" for registry, reason in report["refused"].items())
    if not report["answered"]:
        sys.stderr.write("No registry answered about any package: nothing is written, nothing was audited.\n")
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


def ask(packages: list[str], get: Fetch, now: datetime) -> dict[str, Any]:
    """Return the report; `answered` is empty when nothing is known about any package."""
    answers: dict[str, Flaws | None] = {}
    refused: dict[str, str] = {}
    for registry, ask_about in (("pypi", _ask_pypi), ("npm", _ask_npm)):
        chosen = [package for package in packages if package.startswith(f"{registry}/")]
        try:
            answers |= ask_about(chosen, get)
        except NoAnswer as reason:
            refused[registry] = str(reason)
    answered = {package: flaws for package, flaws in answers.items() if flaws is not None}
    return {
        "asked_at": now.isoformat(timespec="seconds"),
        "refused": refused,
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
        raise NoAnswer(f"{refusal.code} {refusal.reason} for {address}") from None
    except (OSError, ValueError) as error:
        raise NoAnswer(f"{getattr(error, 'reason', error)} for {address}") from None


def _ask_pypi(packages: list[str], get: Fetch) -> dict[str, Flaws | None]:
    """Return the vulnerabilities of each package; None without an answer. Raises `NoAnswer`."""
    if not packages:
        return {}
    _require_flaws("pypi", _ask_pypi_about(CONTROLS["pypi"], get))
    answers: dict[str, Flaws | None] = dict.fromkeys(packages)
    for package in packages:
        with contextlib.suppress(NoAnswer):
            answers[package] = _ask_pypi_about(package, get)
    return answers


def _ask_pypi_about(package: str, get: Fetch) -> Flaws:
    name, version = package.removeprefix("pypi/").split("==")
    address = f"{PYPI}/pypi/{name}/{version}/json"
    answer = get(address, None)
    if not isinstance(answer, dict) or "vulnerabilities" not in answer:
        raise NoAnswer(f"no vulnerabilities in the answer of {address}")
    if answer.get("info", {}).get("version") != version:
        raise NoAnswer(f"another version in the answer of {address}")
    return [
        {"id": entry["id"], "summary": (entry.get("summary") or entry.get("details") or "")[:200],
         "fixed_in": entry.get("fixed_in") or []}
        for entry in answer["vulnerabilities"]
        if not entry.get("withdrawn")
    ]  # fmt: skip


def _ask_npm(packages: list[str], get: Fetch) -> dict[str, Flaws | None]:
    """Return the vulnerabilities of each package. Raises `NoAnswer`."""
    if not packages:
        return {}
    pairs = {
        package: package.removeprefix("npm/").rsplit("==", 1) for package in (*packages, CONTROLS["npm"])
    }
    body = json.dumps({name: [version] for name, version in pairs.values()}).encode()
    address = f"{NPM}/-/npm/v1/security/advisories/bulk"
    answer = get(address, body)
    if not isinstance(answer, dict):
        raise NoAnswer(f"no list in the answer of {address}")
    flaws = {
        package: [
            {"id": str(entry["url"]).rpartition("/")[2], "summary": entry["title"], "fixed_in": []}
            for entry in answer.get(name, [])
        ]
        for package, (name, _version) in pairs.items()
    }
    _require_flaws("npm", flaws[CONTROLS["npm"]])
    return {package: flaws[package] for package in packages}


def _require_flaws(registry: str, flaws: Flaws) -> None:
    """Raise `NoAnswer` when the registry does not list what is known of its control."""
    if not flaws:
        raise NoAnswer(
            f"it lists no vulnerability of {CONTROLS[registry]}, which has some: it leaves them out"
        )


def _fix(vulnerability: dict[str, Any]) -> str:
    fixed = vulnerability["fixed_in"]
    return f", fixed in {', '.join(fixed)}" if fixed else ""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
