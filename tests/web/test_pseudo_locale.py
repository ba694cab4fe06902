"""In a made-up language with longer words, every text of a page is from the catalogues and has room."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.utils.translation import override, trans_real
from playwright.sync_api import Browser

from koppel.web.templatetags.frame import script_texts
from tests.web.browsing import address, browser, open_browser_page, resize, sign_in, wait_until_settled
from tests.web.factories import build_world
from tests.web.measures import cut_text, overflow
from tests.web.page_table import PUBLIC, add_books, all_pages
from tests.web.pseudo_locale import pseudo, untranslated, write_catalogue

__all__ = ["address", "browser"]
IN_ENGLISH = {"api", "help", "help-page", "styleguide"}
"""Pages made from documents or for developers."""
DATA = re.compile(
    r"[\w.-]+@[\w.-]+|https?://[^\s\"<]*"
    r"|Anna de Vries|Piet Jansen|Kees Bos|Kantoor Noord"
    r"|Bakkerij (?:De Haan B\.V\.|Vos)|Fjordheim AS|Garage Öberg B\.V\."
    r"|Stichting Zorg in de Wijk|Holding Smit"
    r"|\b(?:News|Trouble|Worse)\b|Zuid|Standard|Tickets|Bank|Omzet|Kas en bank|made_up_by_a_test"
    r"|Visma\.net|Exact Online|Twinfield|AFAS|Fortnox|Tripletex|Sandbox|Chrome|Linux|Excel"
    r"|kantoor\.nl|2001:db8::|msg_1|\b120 ms\b"
    r"|\b(?:Koppel|EN|NL|EUR|GL|CSV|ZIP|Parquet|AV|PJ|KB|KN|BB|BH|BV|FA)\b"
)
"""Names of the world of the tests, of products, of formats, and initials."""


@pytest.fixture
def pseudo_locale(tmp_path: Path, settings: Any) -> Iterator[None]:
    """Dutch is the made-up language."""
    write_catalogue(tmp_path)
    settings.LOCALE_PATHS = [tmp_path, *settings.LOCALE_PATHS]
    trans_real._translations = {}
    yield
    trans_real._translations = {}


def test_texts_grow_and_keep_their_placeholders() -> None:
    assert pseudo("Import %(count)d administrations") == "[Împöört %(count)d ààdmîîñîîštrààtîîööñš]"
    assert len(pseudo("Save")) == 6
    assert untranslated('<p>[Šàvé <b>this</b>] but</p> <i title="Stop"></i>') == ["but", "Stop"]


@pytest.mark.drill
@pytest.mark.usefixtures("pseudo_locale")
def test_every_text_of_a_page_is_translated(actor: Any, settings: Any) -> None:
    world = build_world(actor)
    add_books(world)
    client = world.client("administrator", "nl")
    stranger = Client()
    stranger.cookies["koppel_language"] = "nl"
    lines: dict[str, set[str]] = {}
    for name, path in all_pages(world).items():
        reader = stranger if name in PUBLIC else client
        page = reader.get(path, follow=True).content.decode() if name not in IN_ENGLISH else ""
        for line in untranslated(DATA.sub("", page)):
            lines.setdefault(line, set()).add(name)
    assert lines == {}, "\n".join(f"{line!r}: {sorted(names)[:4]}" for line, names in lines.items())


@pytest.mark.usefixtures("pseudo_locale")
def test_texts_of_scripts_are_translated() -> None:
    with override("nl"):
        texts = re.findall(r': "([^"]*)"', script_texts())
    assert texts
    assert [text for text in texts if not text.startswith("[")] == []


@pytest.mark.browser
@pytest.mark.drill
@pytest.mark.timeout(900)
@pytest.mark.usefixtures("pseudo_locale")
def test_longer_texts_have_room(browser: Browser, actor: Any, address: str, settings: Any) -> None:
    settings.STYLEGUIDE = True
    world = build_world(actor)
    add_books(world)
    page = open_browser_page(browser, locale="nl")
    sign_in(page, address, world.admin)
    findings = []
    for name, path in all_pages(world).items():
        page.goto(address + path)
        wait_until_settled(page)
        for width in (1440, 390):
            resize(page, width)
            findings += [f"{name} at {width}: {finding}" for finding in overflow(page) + cut_text(page)]
    page.context.close()
    assert findings == [], "\n".join(findings)
