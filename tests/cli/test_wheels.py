"""Each distribution is built from a bare checkout and installed alone in an empty environment: it brings all
that it needs, and nothing of the others. Packages of others come from uv's cache, and what is not there from
PyPI.
"""

import zipfile
from http import HTTPStatus
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from tests.cli.installations import DISTRIBUTIONS, Installation, build_wheels, install
from tests.cli.sites import HASHED, copy_package, file_states, run_site
from tests.fixtures.stack import run_sandbox

pytestmark = pytest.mark.drill

REFUSED = 2
IMPORT_ALL = """
import importlib, pkgutil, {package} as package
{setup}
for module in pkgutil.walk_packages(package.__path__, "{package}."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
"""
COUNT_LINES = """
import ledger_formats
print(ledger_formats.open_ledger("{name}").check().counts["Line"])
"""
SMALL_SIE = """#SIETYP 4
#FNAMN "Provbolaget AB"
#RAR 0 20250101 20251231
#VER A 1 20250115
{
#TRANS 1930 {} 5
#TRANS 3010 {} -5
}
"""
SMALL_XAF = """<auditfile xmlns="http://www.auditfiles.nl/XAF/3.2">
<header><fiscalYear>2025</fiscalYear></header>
<company><companyName>Proef B.V.</companyName><transactions><journal><jrnID>M</jrnID><transaction>
<nr>1</nr><trDt>2025-01-15</trDt>
<trLine><nr>1</nr><accID>1000</accID><amnt>5</amnt><amntTp>D</amntTp></trLine>
<trLine><nr>2</nr><accID>8000</accID><amnt>5</amnt><amntTp>C</amntTp></trLine>
</transaction></journal></transactions></company>
</auditfile>
"""
SET_UP_DJANGO = """
import django, os
os.environ["DJANGO_SETTINGS_MODULE"] = "koppel.settings"
django.setup()
"""


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with all wheels, built with what is installed here."""
    trees = [copy_package(name, tmp_path_factory.mktemp(name)) for name in DISTRIBUTIONS]
    return build_wheels(trees, tmp_path_factory.mktemp("wheels"))


@pytest.fixture(scope="module")
def koppel_alone(wheels: Path, tmp_path_factory: pytest.TempPathFactory) -> Installation:
    return install("koppel", wheels, tmp_path_factory.mktemp("koppel-alone"))


@pytest.fixture(scope="module")
def sandbox_alone(wheels: Path, tmp_path_factory: pytest.TempPathFactory) -> Installation:
    return install("koppel-sandbox", wheels, tmp_path_factory.mktemp("sandbox-alone"))


def test_koppels_wheel_brings_compiled_texts_and_collected_files(wheels: Path) -> None:
    names = names_in_wheel(wheels, "koppel")
    texts = {name for name in names if name.endswith(".po")}
    assert len(texts) > 10
    assert {name.removesuffix(".po") + ".mo" for name in texts} <= names
    collected = [name for name in names if name.startswith("koppel/web/staticfiles/") and HASHED.search(name)]
    for start in ("koppel/koppel.", "koppel/js/palette.", "django_htmx/htmx-2.min.", "mfa/js/webauthn."):
        assert any(name.startswith(f"koppel/web/staticfiles/{start}") for name in collected), start
    assert "koppel/web/help/docs/getting-started.md" in names


@pytest.mark.parametrize(
    ("distribution", "package"),
    [("koppel", "koppel"), ("koppel_sandbox", "koppel_sandbox"), ("ledger_formats", "ledger_formats")],
)
def test_a_wheel_holds_one_package_and_its_licence(wheels: Path, distribution: str, package: str) -> None:
    names = names_in_wheel(wheels, distribution)
    assert f"{package}/py.typed" in names
    metadata = f"{distribution}-{version(distribution)}.dist-info"
    assert {name.partition("/")[0] for name in names} == {package, metadata}
    assert f"{metadata}/licenses/LICENSE" in names


def test_the_formats_alone_read_text_and_with_the_extra_xml(
    wheels: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    alone = install("ledger-formats", wheels, tmp_path_factory.mktemp("formats-alone"))
    for name in ("koppel", "koppel_sandbox", "lxml"):
        assert f"No module named '{name}'" in alone.run("python", "-c", f"import {name}").stderr
    (alone.folder / "home" / "small.se").write_text(SMALL_SIE)
    (alone.folder / "home" / "small.xaf").write_text(SMALL_XAF)
    assert alone.run("python", "-c", COUNT_LINES.format(name="small.se")).stdout == "2\n"
    refused = alone.run("python", "-c", COUNT_LINES.format(name="small.xaf"))
    assert "pip install 'ledger-formats[xml]'" in refused.stderr
    complete = install("ledger-formats", wheels, tmp_path_factory.mktemp("formats-with-xml"), extra="xml")
    assert_complete(complete, "ledger_formats")
    (complete.folder / "home" / "small.xaf").write_text(SMALL_XAF)
    assert complete.run("python", "-c", COUNT_LINES.format(name="small.xaf")).stdout == "2\n"


def test_the_sandbox_alone_plays_the_accounting_system(sandbox_alone: Installation) -> None:
    assert_complete(sandbox_alone, "koppel_sandbox")
    assert "No module named 'koppel'" in sandbox_alone.run("python", "-c", "import koppel").stderr
    assert sandbox_alone.run("koppel-sandbox", "--help").returncode == 0
    with run_sandbox(companies=2, python=str(sandbox_alone.python)) as sandbox:
        assert len(sandbox.companies()) == 2


def test_koppel_without_the_sandbox_says_how_to_install_it(koppel_alone: Installation) -> None:
    assert_complete(koppel_alone, "koppel", setup=SET_UP_DJANGO)
    assert (
        "No module named 'koppel_sandbox'" in koppel_alone.run("python", "-c", "import koppel_sandbox").stderr
    )
    assert "administrations" in koppel_alone.run("koppel", "--help").stdout
    migrated = koppel_alone.run("koppel", "migrate")
    assert migrated.returncode == 0, migrated.stdout + migrated.stderr
    for command in ("demo", "demo-once", "sandbox"):
        refused = koppel_alone.run("koppel", command)
        assert (refused.returncode, refused.stdout) == (REFUSED, "")
        assert (
            refused.stderr == "The sandbox is not installed here; `pip install 'koppel[demo]'` brings it.\n"
        )


def test_koppel_with_the_demo_brings_the_sandbox(wheels: Path, tmp_path: Path) -> None:
    both = install("koppel", wheels, tmp_path, extra="demo")
    done = both.run("koppel", "demo-once", "--administrations", "1", "--timeout", "200")
    assert done.returncode == 0, done.stdout + done.stderr


def test_an_installed_koppel_writes_nothing_beside_its_code(
    koppel_alone: Installation, actor: Any, free_port: int, tmp_path: Path
) -> None:
    actor("administrator")
    import_path = koppel_alone.run("python", "-c", "import koppel; print(*koppel.__path__)").stdout
    code = Path(import_path.strip())
    for file in code.rglob("*"):
        file.chmod(0o555 if file.is_dir() else 0o444)
    before = file_states(code)
    data = ("--data-dir", str(tmp_path / "data"))
    with run_site(koppel_alone.python, "up", *data, port=free_port, folder=tmp_path) as site:
        addresses = site.static_addresses()
        assert len(addresses) > 5
        for address in addresses:
            assert HASHED.search(address), address
            answer = site.get(address)
            assert (answer.status, "immutable" in answer.caching) == (HTTPStatus.OK, True), address
        plain = site.get("/static/koppel/koppel.css")
        assert (plain.status, plain.caching) == (HTTPStatus.OK, "max-age=60, public")
        assert "Wachtwoord" in site.get("/accounts/login/", language="nl").text
        assert "not_built" not in site.log.read_text()
    assert file_states(code) == before


def names_in_wheel(wheels: Path, distribution: str) -> set[str]:
    return set(zipfile.ZipFile(next(wheels.glob(f"{distribution}-[0-9]*.whl"))).namelist())


def assert_complete(installation: Installation, package: str, setup: str = "") -> None:
    """Every module of the package finds what it imports."""
    imported = installation.run("python", "-c", IMPORT_ALL.format(package=package, setup=setup))
    assert imported.returncode == 0, imported.stderr
