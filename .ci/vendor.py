"""Fetch the third-party files of pages from npm again, verify them, and write them where pages read them.

`make vendor` fails when a package's hash is not the manifest's, or a file comes out different.
`make vendor ARGS=--update` writes the new hashes of files instead, after a change of the manifest.

Fonts are reduced to the manifest's characters, to weights 400 to 700 and to the design for small sizes; icons
become one sprite with the icons that the manifest names. The lock file pins what reduces fonts.
"""

import base64
import hashlib
import io
import json
import re
import sys
import tarfile
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from fontTools import subset
from fontTools.ttLib import TTFont
from fontTools.varLib import instancer

VENDOR = Path(__file__).parents[1] / "packages" / "koppel" / "src" / "koppel" / "web" / "static" / "vendor"
MANIFEST = VENDOR / "manifest.json"
REGISTRY = "https://registry.npmjs.org"
FONT_FEATURES = [
    "kern",
    "liga",
    "calt",
    "ccmp",
    "locl",
    "mark",
    "mkmk",
    "tnum",
    "case",
    "zero",
    "ss01",
    "cv11",
]


def main() -> None:
    manifest = json.loads(MANIFEST.read_text())
    differing = [path for package in manifest["packages"] for path in _write_files(package)]
    if "--update" in sys.argv:
        MANIFEST.write_text(json.dumps(manifest, indent=2, ensure_ascii=False) + "\n")
    elif differing:
        sys.exit(f"Not what the manifest says: {', '.join(differing)}")


def _write_files(package: dict[str, Any]) -> list[str]:
    """Write the package's files; set their hashes, and return the paths of those that changed."""
    archive = _fetch(package)
    differing = []
    for file in package["files"]:
        content = _content(archive, file)
        target = VENDOR / file["path"]
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
        digest = hashlib.sha256(content).hexdigest()
        if digest != file["sha256"]:
            differing.append(file["path"])
            file["sha256"] = digest
    return differing


def _fetch(package: dict[str, Any]) -> tarfile.TarFile:
    name, version = package["name"], package["version"]
    with urlopen(f"{REGISTRY}/{name}/-/{name.rpartition('/')[2]}-{version}.tgz", timeout=60) as answer:  # noqa: S310 - always https
        content = answer.read()
    integrity = "sha512-" + base64.b64encode(hashlib.sha512(content).digest()).decode()
    if integrity != package["integrity"]:
        sys.exit(f"{name} {version} is not the package of the manifest: {integrity}")
    return tarfile.open(fileobj=io.BytesIO(content))


def _content(archive: tarfile.TarFile, file: dict[str, Any]) -> bytes:
    if "icons" in file:
        return _sprite(archive, file["source"], file["icons"])
    content = _read(archive, file["source"])
    return _font(content, file["characters"]) if "characters" in file else content


def _read(archive: tarfile.TarFile, path: str) -> bytes:
    member = archive.extractfile(f"package/{path}")
    if member is None:
        sys.exit(f"{path} is no file")
    return member.read()


def _font(content: bytes, characters: str) -> bytes:
    font = TTFont(io.BytesIO(content), recalcTimestamp=False)
    options = subset.Options(
        flavor="woff2", layout_features=FONT_FEATURES, name_IDs=[0, 1, 2, 3, 4, 5, 6, 13, 14]
    )
    subsetter = subset.Subsetter(options)
    subsetter.populate(unicodes=subset.parse_unicodes(characters.replace("U+", "")))
    subsetter.subset(font)
    instancer.instantiateVariableFont(font, {"opsz": 14, "wght": (400, 700)}, inplace=True)
    font.flavor = "woff2"
    target = io.BytesIO()
    font.save(target)
    return target.getvalue()


def _sprite(archive: tarfile.TarFile, folder: str, names: list[str]) -> bytes:
    symbols = [_symbol(_read(archive, f"{folder}/{name}.svg").decode(), name) for name in sorted(names)]
    head = "<!-- lucide-static, ISC licence: see LICENSE -->"
    return f'<svg xmlns="http://www.w3.org/2000/svg">{head}\n{"".join(symbols)}</svg>\n'.encode()


def _symbol(icon: str, name: str) -> str:
    shapes = re.search(r"<svg[^>]*>(.*)</svg>", icon, re.DOTALL)
    if shapes is None:
        sys.exit(f"{name} is no icon")
    inner = re.sub(r"\s*\n\s*", "", shapes[1])
    stroke = (
        'fill="none" stroke="currentColor" stroke-width="2" stroke-linecap="round" stroke-linejoin="round"'
    )
    return f'<symbol id="{name}" viewBox="0 0 24 24" {stroke}>{inner}</symbol>\n'


if __name__ == "__main__":
    main()
