"""Files of others are exactly those that the manifest names, each with its licence."""

import hashlib
import json
from typing import Any

import pytest

from koppel.web.build.built import STATIC_SOURCE

VENDOR = STATIC_SOURCE / "vendor"
MANIFEST = VENDOR / "manifest.json"
PACKAGES: list[dict[str, Any]] = json.loads(MANIFEST.read_text())["packages"]
FILES: list[dict[str, Any]] = [file for package in PACKAGES for file in package["files"]]
OPEN_LICENCES = {"Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "0BSD", "ISC", "MIT", "OFL-1.1"}
FONT_BYTES_MAX = 120_000


@pytest.mark.parametrize("file", FILES, ids=lambda file: file["path"])
def test_a_file_is_the_one_of_the_manifest(file: dict[str, Any]) -> None:
    assert hashlib.sha256((VENDOR / file["path"]).read_bytes()).hexdigest() == file["sha256"]


def test_there_is_no_file_besides() -> None:
    stored = {path.relative_to(VENDOR).as_posix() for path in VENDOR.rglob("*") if path.is_file()}
    assert stored == {"manifest.json", *(file["path"] for file in FILES)}


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package["name"])
def test_a_package_is_pinned_and_brings_its_licence(package: dict[str, Any]) -> None:
    assert package["licence"] in OPEN_LICENCES
    assert package["integrity"].startswith("sha512-")
    assert any("LICENSE" in file["path"].upper() for file in package["files"])


def test_the_fonts_of_a_page_are_small() -> None:
    fonts = list(VENDOR.rglob("*.woff2"))
    assert fonts
    assert sum(font.stat().st_size for font in fonts) <= FONT_BYTES_MAX
