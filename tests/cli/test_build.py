"""Where texts and static files were not built, or a source has changed since, pages work and no browser keeps
an old script. test_wheels.py has what was built.
"""

import re
import subprocess
import sys
from http import HTTPStatus
from pathlib import Path

import pytest

from tests.cli.sites import HASHED, copy_package, file_states, python_environment, run_site

pytestmark = pytest.mark.slow

COMPILES_NOTHING = {"PYTHONPYCACHEPREFIX": "", "PYTHONDONTWRITEBYTECODE": "1"}
"""Python reads what it once compiled of other packages, and writes nothing into the copy of ours."""


def test_a_checkout_in_which_nothing_was_built_works_and_says_so(
    clean_database: None, free_port: int, tmp_path: Path
) -> None:
    code = copy_package("koppel", tmp_path) / "src"
    before = file_states(code)
    settings = {"PYTHONPATH": str(code), **COMPILES_NOTHING}
    with run_site(Path(sys.executable), "web", port=free_port, folder=tmp_path, **settings) as site:
        addresses = site.static_addresses()
        assert "/static/koppel/koppel.css" in addresses
        for address in addresses:
            answer = site.get(address)
            assert (answer.status, answer.caching) == (HTTPStatus.OK, "max-age=60, public"), address
        words = site.log.read_text()
        assert "Static files (account, django_htmx, koppel, mfa, vendor) are not collected" in words
        assert "make install" in words
    assert file_states(code) == before


ADDRESSES = """
import django; django.setup()
from django.templatetags.static import static
names = ("koppel/koppel.css", "koppel/js/peek.js", "koppel/js/extra.js", "django_htmx/htmx-2.min.js")
print(*(static(name) for name in names))
"""


def test_a_changed_file_is_served_without_hash_until_the_next_build(tmp_path: Path) -> None:
    code = copy_package("koppel", tmp_path) / "src"
    environment = python_environment(tmp_path, PYTHONPATH=str(code), **COMPILES_NOTHING)
    static, collected = code / "koppel/web/static/koppel", code / "koppel/web/staticfiles"

    def addresses() -> list[str]:
        done = subprocess.run(
            [sys.executable, "-c", ADDRESSES], env=environment, capture_output=True, text=True, check=True
        )
        return done.stdout.split()

    def build() -> None:
        subprocess.run([sys.executable, "-m", "koppel.web.build"], env=environment, check=True)

    build()
    first = addresses()
    assert [bool(HASHED.search(one)) for one in first] == [True, True, False, True]

    (static / "js/extra.js").write_text("export const extra = 1;\n")
    (static / "js/peek.js").write_text('import { extra } from "./extra.js";\nconsole.log(extra);\n')
    (static / "koppel.css").write_text("body { background: url(koppel.svg) }\n")
    plain = addresses()
    assert plain[:3] == [
        "/static/koppel/koppel.css",
        "/static/koppel/js/peek.js",
        "/static/koppel/js/extra.js",
    ]
    assert plain[3] == first[3], "What others made has not changed."

    build()
    style, script, extra, others = addresses()
    assert all(HASHED.search(one) for one in (style, script, extra, others))
    assert first[0] != style
    written = {one: (collected / one.removeprefix("/static/")).read_text() for one in (style, script)}
    assert f'"./{Path(extra).name}"' in written[script]
    assert re.search(r'url\("?koppel\.[0-9a-f]{12}\.svg"?\)', written[style])
