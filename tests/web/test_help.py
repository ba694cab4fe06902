"""The documentation inside the product: pages, links, search, and the page that explains each page."""

import hashlib
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from django.urls import get_resolver
from django.utils.translation import override

from koppel.web.help.documents import TRANSLATIONS, Document, load_documents, search_titles
from koppel.web.help.topics import TOPICS, help_url
from tests.fixtures.environment import PACKAGES, REPOSITORY
from tests.fixtures.people import signed_in

DOCS = REPOSITORY / "docs"
PAGES = sorted(file.stem for file in DOCS.glob("*.md"))
TRANSLATED = [
    (language, file.stem) for language in TRANSLATIONS for file in sorted((DOCS / language).glob("*.md"))
]
NOT_ON_SCREEN = {"API User", "Cancel", "No license for this company", "Visma.net", "Refresh tokens"}
"""Words of accounting systems, which the pages emphasise too."""


class Targets(HTMLParser):
    """What a page links to, the images it shows, and the ids it has."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.images: list[str] = []
        self.ids: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.links += [str(values["href"])] if tag == "a" else []
        self.images += [str(values["src"])] if tag == "img" else []
        self.ids += [str(values["id"])] if "id" in values else []


def ids_of(document: Document) -> list[str]:
    return [document.headings[0].anchor, *Targets(document.html).ids]


def has_target(url: str, page: Document) -> bool:
    if url.startswith("https://"):
        return True
    path, _hash, anchor = url.partition("#")
    name = path.removeprefix("/help/").rstrip("/") if path else page.name
    document = load_documents(page.language).get(name)
    return document is not None and (not anchor or anchor in ids_of(document))


def test_every_page_of_the_documentation_is_there() -> None:
    assert sorted(load_documents()) == PAGES
    assert all(document.title and document.summary for document in load_documents().values())


@pytest.mark.parametrize(("language", "name"), [*(("en", name) for name in PAGES), *TRANSLATED])
def test_no_link_or_image_of_a_page_is_broken(language: str, name: str, actor: Any) -> None:
    page = load_documents(language)[name]
    targets = Targets(page.html)
    assert [url for url in targets.links if not has_target(url, page)] == []
    assert len(targets.ids) == len(set(targets.ids))
    client = signed_in(actor())
    assert [url for url in targets.images if client.get(url).headers["Content-Type"] != "image/png"] == []


def test_a_reader_opens_the_help_in_either_language(actor: Any) -> None:
    client = signed_in(actor("reader"))
    page = client.get("/help/getting-started/").content.decode()
    assert "Link an accounting system" in page
    assert "alleen in het Engels" not in page
    client.post("/language", {"language": "nl"})
    dutch = client.get("/help/getting-started/").content.decode()
    assert "Een boekhoudpakket koppelen" in dutch
    assert "alleen in het Engels" not in dutch
    assert "alleen in het Engels" in client.get("/help/operations/").content.decode()
    with override("nl"):
        assert help_url("web:activity") == "/help/people/#activiteit"
    index = client.get("/help/").content.decode()
    assert index.index("Aan de slag") < index.index("Running Koppel") < index.index("Voor ontwikkelaars")
    results = client.get("/help/", {"q": "klant vertrekt"}).content.decode()
    assert "/help/administrations/#als-een-klant-vertrekt" in results


@pytest.mark.parametrize(("language", "name"), TRANSLATED)
def test_a_translation_follows_its_page(language: str, name: str) -> None:
    """It has the same sections in the same order, and was written for the page as it is now."""
    source, page = load_documents()[name], load_documents(language)[name]
    assert [heading.level for heading in page.headings] == [heading.level for heading in source.headings]
    stored = dict(line.split() for line in (DOCS / language / "sources.txt").read_text().splitlines())
    digest = hashlib.sha256((DOCS / f"{name}.md").read_bytes()).hexdigest()[:16]
    assert stored.get(name) == digest, (
        f"docs/{name}.md has changed: change docs/{language}/{name}.md too, then put “{name} {digest}” in"
        f" docs/{language}/sources.txt"
    )


@pytest.mark.parametrize(("language", "name"), TRANSLATED)
def test_a_translation_names_what_is_on_screen(language: str, name: str) -> None:
    texts = set(texts_on_screen(language))
    emphasised = re.findall(
        r"\*{1,2}([A-ZÉ…][^*]*[^*.])\*{1,2}", (DOCS / language / f"{name}.md").read_text()
    )
    words = {" ".join(word.split()) for part in emphasised for word in part.split("→")}
    sentences = {word for word in words if len(word.split()) > 5}
    assert {word for word in words if word.casefold() not in texts} - NOT_ON_SCREEN - sentences == set()


def texts_on_screen(language: str) -> Iterator[str]:
    for catalogue in PACKAGES.rglob(f"{language}/LC_MESSAGES/django.po"):
        for text in re.findall(r'^msgstr(?:\[\d\])? (".*"(?:\n".*")*)', catalogue.read_text(), re.MULTILINE):
            joined = re.sub(r'"\n"|^"|"$', "", text)
            yield re.sub(r"%\(\w+\)[sd]", "…", joined).rstrip(".").casefold()


@pytest.mark.parametrize(
    "path", ["/help/no-such-page/", "/help/decisions/", "/help/images/no.png", "/help/..%2f/"]
)
def test_what_is_not_there_is_not_found(path: str, actor: Any) -> None:
    assert signed_in(actor()).get(path).status_code == 404


def test_the_help_takes_a_sign_in(client: Any) -> None:
    assert client.get("/help/").status_code == 302


@pytest.mark.parametrize(
    ("words", "title"),
    [
        ("trial balance", "Trial balance"),
        ("BALANCE tri", "Trial balance"),
        ("client leaves", "When a client leaves"),
        ("glossary", "Glossary"),
    ],
)
def test_titles_are_found_by_their_words(words: str, title: str) -> None:
    assert title in [result.title for result in search_titles(words)]


@pytest.mark.parametrize("words", ["", "   ", "zzqq", "<script>"])
def test_what_no_title_has_finds_nothing(words: str, actor: Any) -> None:
    assert search_titles(words) == []
    page = signed_in(actor()).get("/help/", {"q": words}).content.decode()
    assert "<script>" not in page.split("<main", 1)[1]


def test_html_in_a_page_is_shown_as_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from koppel.web.help import documents

    (tmp_path / "page.md").write_text("# Page\n\nText <script>alert(1)</script> [x](javascript:alert(1))\n")
    monkeypatch.setattr(documents, "documents_folder", lambda: tmp_path)
    html = documents.load_documents.__wrapped__()["page"].html
    assert "<script>" not in html
    assert 'href="javascript' not in html


@pytest.mark.parametrize("topic", TOPICS)
def test_every_topic_leads_to_its_section(topic: str) -> None:
    assert has_target(help_url(topic), next(iter(load_documents().values())))


def test_every_page_of_the_product_has_its_help(actor: Any) -> None:
    namespaces = {
        name for name in get_resolver().namespace_dict if not name.startswith(("api", "socialaccount"))
    }
    assert namespaces - set(TOPICS) - {"web"} == set()
    page = signed_in(actor()).get("/administrations/").content.decode()
    assert re.search(r'href="/help/administrations/"', page)


def test_a_page_is_summarised_by_its_first_sentence_without_markup() -> None:
    summaries = {page.name: page.summary for page in load_documents().values()}
    assert summaries["registers"] == "Every administration has a number, or a reason and a sector."
    assert [name for name, summary in summaries.items() if " ." in summary or len(summary) < 20] == []
