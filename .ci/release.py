"""Cut a release: `make release VERSION=0.3.0`.

Writes the version into the project files and the lock file, turns *Unreleased* of the changelog into the
section of the version, and keeps in `tests/releases/VERSION/` what later tests install: the wheels, their
locked requirements and the bill of materials. Commits nothing. The same tree gives the same wheels. A
version that is cut again takes the lines that came since.
"""

import re
import shutil
import subprocess
import sys
from datetime import UTC, date, datetime
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGES = ("koppel", "koppel-sandbox", "ledger-formats")
RELEASES = ROOT / "tests" / "releases"
KINDS = ("Added", "Changed", "Deprecated", "Removed", "Fixed", "Security")
_NUMBER = re.compile(r"\d+\.\d+\.\d+")
_UNRELEASED = "## [Unreleased]\n"
_EXPORT = ("export", "--frozen", "-q", "--package", "koppel", "--extra", "demo", "--no-dev",
           "--no-emit-workspace", "--no-header")  # fmt: skip


def main(words: list[str]) -> None:
    if len(words) != 1 or not _NUMBER.fullmatch(words[0]):
        sys.exit("Name the version: make release VERSION=0.3.0")
    version = words[0]
    changelog = ROOT / "CHANGELOG.md"
    changelog.write_text(released_changelog(changelog.read_text(), version, datetime.now(UTC).date()))
    set_version(ROOT, version)
    keep(version)
    sys.stdout.write(
        f"Koppel {version} is in tests/releases/{version}. "
        f"Now: git add -A && git commit -m 'Release {version}'\n"
    )


def set_version(root: Path, version: str) -> None:
    """Write the version wherever it stands: project files, what they require of each other, the lock file."""
    for package in PACKAGES:
        project = root / "packages" / package / "pyproject.toml"
        _replace(project, r'^version = "[^"]+"', f'version = "{version}"')
        required = rf'"({"|".join(PACKAGES)})==[^"]+"'
        project.write_text(re.sub(required, rf'"\1=={version}"', project.read_text()))
        _replace(
            root / "uv.lock",
            rf'^name = "{package}"\nversion = "[^"]+"',
            f'name = "{package}"\nversion = "{version}"',
        )


def released_changelog(text: str, version: str, day: date) -> str:
    """Return the changelog with what was unreleased in the section of the version.

    Lines join those of the same kind when the section exists already. Exits without a line to release.
    """
    before, mark, rest = text.partition(_UNRELEASED)
    unreleased, heading, older = _split(rest)
    sections = _kinds(unreleased)
    has_section = heading.startswith(f"## [{version}]")
    if not mark or not (has_section or any(sections.values())):
        sys.exit("The changelog has no line below Unreleased.")
    if has_section:
        existing, heading, older = _split(older)
        for kind, lines in _kinds(existing).items():
            sections[kind] = "\n".join(part for part in (lines, sections.get(kind, "")) if part)
    body = "".join(
        f"### {kind}\n\n{sections[kind]}\n\n"
        for kind in sorted(sections, key=_order)
        if kind and sections[kind]
    )
    introduction = f"{sections['']}\n\n" if sections.get("") else ""
    return f"{before}{_UNRELEASED}\n## [{version}] - {day}\n\n{introduction}{body}{heading}{older}"


def keep(version: str) -> None:
    """Build the wheels and write them with their locked requirements and the bill of materials."""
    folder = RELEASES / version
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for package in PACKAGES:
        _run(
            sys.executable,
            "-m",
            "hatchling",
            "build",
            "-t",
            "wheel",
            "-d",
            folder,
            cwd=ROOT / "packages" / package,
        )
    uv = ROOT / ".koppel" / "uv" / "bin" / "uv"
    _run(uv, *_EXPORT, "-o", folder / "requirements.txt", cwd=ROOT)
    _run(
        uv,
        "run",
        "--frozen",
        "-q",
        "--group",
        "release",
        "python",
        ".ci/sbom.py",
        folder / "koppel.cdx.json",
        cwd=ROOT,
    )


def _split(text: str) -> tuple[str, str, str]:
    """Return what stands before the next section, its heading, and what follows."""
    heading = re.search(r"^## \[.*\n", text, re.MULTILINE)
    if heading is None:
        return text, "", ""
    return text[: heading.start()], heading[0], text[heading.end() :]


def _kinds(section: str) -> dict[str, str]:
    """Return the text below each `###` heading; '' has what stands before the first."""
    first, *parts = re.split(r"^### (.*)\n", section, flags=re.MULTILINE)
    kinds = {"": first.strip()}
    for kind, body in zip(parts[::2], parts[1::2], strict=True):
        kinds[kind] = "\n".join(part for part in (kinds.get(kind, ""), body.strip()) if part)
    return kinds


def _order(kind: str) -> int:
    return KINDS.index(kind) if kind in KINDS else len(KINDS)


def _replace(file: Path, pattern: str, text: str) -> None:
    changed, count = re.subn(pattern, text, file.read_text(), flags=re.MULTILINE)
    if count != 1:
        raise ValueError(f"{file}: {pattern} stands there {count} times.")
    file.write_text(changed)


def _run(*words: object, cwd: Path) -> None:
    subprocess.run([str(word) for word in words], cwd=cwd, check=True, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    main(sys.argv[1:])
