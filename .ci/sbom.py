"""Write the software bill of materials of Koppel (CycloneDX 1.5, JSON): `make sbom`.

uv writes the locked Python packages; this adds what pages bring along from npm and the PostgreSQL inside the
wheel of the embedded server. Serial number and time follow from the content and the lock file's last change,
so that the same sources give the same file.
"""

import json
import os
import subprocess
import sys
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from koppel.kit.database.embedded_postgres.binaries import find_binaries

ROOT = Path(__file__).parents[1]
MANIFEST = ROOT / "packages/koppel/src/koppel/web/static/vendor/manifest.json"
EXPORT = ("export", "--frozen", "--quiet", "--package", "koppel", "--extra", "demo", "--no-dev",
          "--format", "cyclonedx1.5", "--preview-features", "sbom-export")  # fmt: skip


def main(target: Path) -> None:
    bill = complete(_exported(), json.loads(MANIFEST.read_text())["packages"])
    text = json.dumps(bill, indent=1, ensure_ascii=False) + "\n"
    shortened = json.dumps(_with_first_files(bill))
    if (problem := JsonStrictValidator(SchemaVersion.V1_5).validate_str(shortened)) is not None:
        sys.exit(f"The bill of materials is not valid: {problem}")
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text)
    sys.stdout.write(f"{target}: {len(bill['components'])} components\n")


def complete(bill: dict[str, Any], vendored: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the bill with the packages of pages, and with a serial number that follows from its content."""
    components = [*bill["components"], *map(_npm_component, vendored), _postgresql()]
    bill["metadata"]["component"]["type"] = "application"
    content = json.dumps(components, sort_keys=True)
    bill["metadata"]["timestamp"] = _lock_time().isoformat()
    serial = f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, content)}"
    return {**bill, "components": components, "serialNumber": serial}


def _with_first_files(bill: dict[str, Any]) -> dict[str, Any]:
    """Return the bill with one file of each package: comparing thousands, all alike, takes minutes."""
    components = [
        {**component, "externalReferences": component["externalReferences"][:1]}
        if "externalReferences" in component
        else component
        for component in bill["components"]
    ]
    return {**bill, "components": components}


def _exported() -> dict[str, Any]:
    uv = os.environ.get("UV", str(ROOT / ".koppel/uv/bin/uv"))
    done = subprocess.run([uv, *EXPORT], cwd=ROOT, check=True, capture_output=True, text=True)
    bill: dict[str, Any] = json.loads(done.stdout)
    return bill


def _npm_component(package: dict[str, Any]) -> dict[str, Any]:
    name, version = package["name"], package["version"]
    purl = f"pkg:npm/{name.replace('@', '%40')}@{version}"
    files = [
        {"type": "file", "name": file["path"], "hashes": [{"alg": "SHA-256", "content": file["sha256"]}]}
        for file in package["files"]
    ]
    return {
        "type": "library",
        "bom-ref": purl,
        "name": name,
        "version": version,
        "purl": purl,
        "components": files,
    }


def _postgresql() -> dict[str, Any]:
    version = ".".join(map(str, find_binaries().version))
    purl = f"pkg:generic/postgresql@{version}"
    return {"type": "application", "bom-ref": purl, "name": "postgresql", "version": version, "purl": purl}


def _lock_time() -> datetime:
    command = ["git", "log", "-1", "--format=%ct", "--", "uv.lock", str(MANIFEST)]
    done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)
    seconds = int(done.stdout.strip() or os.environ.get("SOURCE_DATE_EPOCH", "0"))
    return datetime.fromtimestamp(seconds, UTC)


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "dist/koppel.cdx.json"))
