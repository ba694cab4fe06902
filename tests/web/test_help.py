"""The documentation inside the product: pages, links, search, and the page that explains each page."""

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from django.urls import get_resolver

from koppel.web.help.documents import Document, load_documents, search_titles
from koppel.web.help.topics import TOPICS, help_url
from tests.fixtures.environment import REPOSITORY
from tests.fixtures.people import signed_in

PAGES = sorted(file.stem for file in (REPOSITORY / "docs").glob("*.md"))


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
    document = load_documents().get(name)
    return document is not None and (not anchor or anchor in ids_of(document))


def test_every_page_of_the_documentation_is_there() -> None:
    assert sorted(load_documents()) == PAGES
    assert all(document.title and document.summary for document in load_documents().values())


@pytest.mark.parametrize("name", PAGES)
def test_no_link_or_image_of_a_page_is_broken(name: str, actor: Any) -> None:
    page = load_documents()[name]
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
    client.cookies["django_language"] = "nl"
    dutch = client.get("/help/getting-started/", headers={"accept-language": "nl"}).content.decode()
    assert 'lang="en"' in dutch
    assert client.get("/help/").status_code == 200


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
