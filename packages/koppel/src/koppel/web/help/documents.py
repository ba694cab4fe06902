"""The pages of `docs/`, read once per process and rendered as HTML.

In a source tree they are read from `docs/`; a wheel brings a copy (`pyproject.toml`, force-include).
"""

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from posixpath import join, normpath

from django.urls import reverse
from markdown_it import MarkdownIt
from markdown_it.token import Token

from koppel.kit.database.text_search import normalize_search

_WHEEL_FOLDER = Path(__file__).parent / "docs"
_SOURCE_FOLDER = Path(__file__).parents[6] / "docs"
_NAME = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
ANCHOR_LEVEL_MAX = 3
"""Headings down to this level are listed beside the page and found by the search."""


@dataclass(frozen=True)
class Heading:
    """`anchor` is the id of the element, made from the text as GitHub makes it."""

    level: int
    title: str
    anchor: str


@dataclass(frozen=True)
class Document:
    """A page of the documentation. `name` is its file's without `.md`; `html` is safe to show."""

    name: str
    title: str
    summary: str
    headings: tuple[Heading, ...]
    html: str

    @property
    def url(self) -> str:
        return reverse("web:help_page", args=[self.name])

    @property
    def sections(self) -> tuple[Heading, ...]:
        return tuple(heading for heading in self.headings if heading.level == 2)


@dataclass(frozen=True)
class HelpResult:
    """A page, or a section of one, whose title has every word that was looked for."""

    title: str
    page_title: str
    url: str


def documents_folder() -> Path:
    """Return the folder of the Markdown files."""
    return _WHEEL_FOLDER if _WHEEL_FOLDER.is_dir() else _SOURCE_FOLDER


@cache
def load_documents() -> dict[str, Document]:
    """Return the pages by name, in the order of their titles."""
    documents = [
        _parse(file.stem, file.read_text(encoding="utf-8")) for file in documents_folder().glob("*.md")
    ]
    return {document.name: document for document in sorted(documents, key=lambda page: page.title.casefold())}


def find_image(name: str) -> Path | None:
    """Return the file of an image of the documentation; None for an unknown name."""
    images = {file.name: file for file in (documents_folder() / "images").glob("*.png")}
    return images.get(name)


def search_titles(text: str) -> list[HelpResult]:
    """Return the pages and sections whose title has every word of `text`, pages first. Case and accents do
    not count; an empty text finds nothing.
    """
    words = normalize_search(text).split()
    if not words:
        return []
    results = [(heading.level, result) for heading, result in _titles() if _has_words(result.title, words)]
    return [result for _level, result in sorted(results, key=lambda found_title: found_title[0])]


def _titles() -> Iterator[tuple[Heading, HelpResult]]:
    for document in load_documents().values():
        for heading in document.headings:
            url = document.url if heading.level == 1 else f"{document.url}#{heading.anchor}"
            yield heading, HelpResult(heading.title, document.title, url)


def _has_words(title: str, words: list[str]) -> bool:
    normal = normalize_search(title)
    return all(word in normal for word in words)


def _parse(name: str, markdown: str) -> Document:
    # HTML in the text is shown as text: a page cannot bring scripts.
    parser = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])
    tokens = parser.parse(markdown)
    headings = tuple(_name_headings(tokens))
    _rewrite_targets(tokens)
    title = headings[0].title if headings else name
    body = tokens[3:] if tokens and tokens[0].tag == "h1" else tokens  # the page shows the title itself
    html = parser.renderer.render(body, parser.options, {})
    return Document(name, title, _first_sentence(tokens), headings, html)


def _name_headings(tokens: list[Token]) -> Iterator[Heading]:
    """Set the id of each heading. Return the headings for the table of contents and the search."""
    used: dict[str, int] = {}
    for token, content in itertools.pairwise(tokens):
        if token.type != "heading_open":
            continue
        title = _plain_text(content)
        anchor = _anchor_of(title)
        count = used[anchor] = used.get(anchor, 0) + 1
        anchor = anchor if count == 1 else f"{anchor}-{count - 1}"
        token.attrSet("id", anchor)
        if int(token.tag[1:]) <= ANCHOR_LEVEL_MAX:
            yield Heading(int(token.tag[1:]), title, anchor)


def _anchor_of(title: str) -> str:
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")


def _plain_text(inline: Token) -> str:
    """Return the text without its markup, on one line."""
    parts = (" " if child.type == "softbreak" else child.content for child in inline.children or ())
    return "".join(parts).strip()


def _first_sentence(tokens: list[Token]) -> str:
    for token, content in itertools.pairwise(tokens):
        if token.type == "paragraph_open":
            return re.split(r"(?<=[.:]) ", _plain_text(content))[0].rstrip(":")
    return ""


def _rewrite_targets(tokens: list[Token]) -> None:
    """Point links and images at their address under /help/. A link to a file outside it loses its target: who
    reads this inside the product has no repository beside it.
    """
    for inline in tokens:
        for child in inline.children or ():
            if child.type == "image":
                child.attrSet(
                    "src", reverse("web:help_image", args=[str(child.attrGet("src")).split("/")[-1]])
                )
            elif child.type == "link_open":
                _rewrite_link(child)


def _rewrite_link(link: Token) -> None:
    target = str(link.attrGet("href") or "")
    if target.startswith(("#", "https://", "http://", "mailto:")):
        return
    path, _hash, anchor = normpath(join("docs", target)).partition("#")
    name = path.removeprefix("docs/").removesuffix(".md")
    if path == f"docs/{name}.md" and _NAME.fullmatch(name):
        link.attrSet("href", reverse("web:help_page", args=[name]) + (f"#{anchor}" if anchor else ""))
    else:
        link.tag = "span"
        link.attrs = {}
