"""The pages of `docs/` and their translations, read once per process and rendered as HTML.

In a source tree they are read from `docs/`; a wheel brings a copy (`pyproject.toml`, force-include). The
translation of `docs/books.md` is `docs/nl/books.md`; a page without one is shown in English.
"""

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from posixpath import join, normpath

from django.urls import reverse
from django.utils.translation import get_language
from markdown_it import MarkdownIt
from markdown_it.token import Token

from koppel.kit.database.text_search import normalize_search

_WHEEL_FOLDER = Path(__file__).parent / "docs"
_SOURCE_FOLDER = Path(__file__).parents[6] / "docs"
_NAME = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
ENGLISH = "en"
TRANSLATIONS = ("nl",)
ANCHOR_LEVEL_MAX = 3
"""Headings down to this level are listed beside the page and found by the search."""


class Readership(StrEnum):
    """Whom a page is for."""

    USERS = "users"
    OPERATORS = "operators"
    DEVELOPERS = "developers"


_PAGES = (
    (Readership.USERS, "getting-started"),
    (Readership.USERS, "administrations"),
    (Readership.USERS, "connections"),
    (Readership.USERS, "issues"),
    (Readership.USERS, "books"),
    (Readership.USERS, "exports"),
    (Readership.USERS, "notifications"),
    (Readership.USERS, "people"),
    (Readership.USERS, "first-day-*"),
    (Readership.USERS, "app-registrations"),
    (Readership.USERS, "glossary"),
    (Readership.USERS, "accessibility"),
    (Readership.OPERATORS, "operations"),
    (Readership.OPERATORS, "commands"),
    (Readership.OPERATORS, "registers"),
    (Readership.OPERATORS, "sync"),
    (Readership.OPERATORS, "permissions"),
    (Readership.OPERATORS, "audit-log"),
    (Readership.DEVELOPERS, "*"),
)
"""The pages, or patterns of them, in the order in which they are read."""


@dataclass(frozen=True, kw_only=True)
class Heading:
    """`anchor` is the id of the element, made from the text as GitHub makes it."""

    level: int
    title: str
    anchor: str


@dataclass(frozen=True, kw_only=True)
class Document:
    """A page of the documentation. `name` is its file's without `.md`; `html` is safe to show."""

    name: str
    title: str
    summary: str
    headings: tuple[Heading, ...]
    html: str
    language: str = ENGLISH

    @property
    def readership(self) -> Readership:
        return _PAGES[self.position][0]

    @property
    def position(self) -> int:
        """Return the place of the page in the reading order; pages for developers share the last."""
        return next(index for index, (_, pattern) in enumerate(_PAGES) if fnmatchcase(self.name, pattern))

    @property
    def url(self) -> str:
        return reverse("web:help_page", args=[self.name])

    @property
    def sections(self) -> tuple[Heading, ...]:
        return tuple(heading for heading in self.headings if heading.level == 2)


@dataclass(frozen=True, kw_only=True)
class HelpResult:
    """A page, or a section of one, whose title has every word that was looked for."""

    title: str
    page_title: str
    url: str
    language: str = ENGLISH


def documents_folder() -> Path:
    """Return the folder of the Markdown files."""
    return _WHEEL_FOLDER if _WHEEL_FOLDER.is_dir() else _SOURCE_FOLDER


def current_documents() -> dict[str, Document]:
    """Return the pages in the reader's language, else in English."""
    language = (get_language() or ENGLISH).split("-")[0]
    return load_documents(language if language in TRANSLATIONS else ENGLISH)


@cache
def load_documents(language: str = ENGLISH) -> dict[str, Document]:
    """Return the pages by name: those for users first, as they are read, the others by title."""
    folder = documents_folder()
    documents = [_parse(file.stem, file.read_text(encoding="utf-8")) for file in folder.glob("*.md")]
    if language != ENGLISH:
        texts = {file.stem: file.read_text(encoding="utf-8") for file in (folder / language).glob("*.md")}
        documents = [
            _parse(page.name, texts[page.name], language) if page.name in texts else page
            for page in documents
        ]
    return {
        document.name: document
        for document in sorted(documents, key=lambda page: (page.position, page.title.casefold()))
    }


def section_url(name: str, anchor: str) -> str:
    """Return the URL of a page's section in the reader's language; `anchor` is that of the English page."""
    page, source = current_documents()[name], load_documents()[name]
    anchors = [heading.anchor for heading in source.headings]
    if anchor not in anchors:
        return page.url
    return f"{page.url}#{page.headings[anchors.index(anchor)].anchor}"


def find_image(name: str) -> Path | None:
    """Return the file of an image of the documentation; None for an unknown name."""
    images = {file.name: file for file in (documents_folder() / "images").glob("*.png")}
    return images.get(name)


def search_titles(text: str) -> list[HelpResult]:
    """Return the pages and sections whose title in the reader's language has every word of `text`, pages
    first. Case and accents do not count; an empty text finds nothing.
    """
    words = normalize_search(text).split()
    if not words:
        return []
    results = [(heading.level, result) for heading, result in _titles() if _has_words(result.title, words)]
    return [result for _level, result in sorted(results, key=lambda found_title: found_title[0])]


def _titles() -> Iterator[tuple[Heading, HelpResult]]:
    for document in current_documents().values():
        for heading in document.headings:
            url = document.url if heading.level == 1 else f"{document.url}#{heading.anchor}"
            yield (
                heading,
                HelpResult(
                    title=heading.title, page_title=document.title, url=url, language=document.language
                ),
            )


def _has_words(title: str, words: list[str]) -> bool:
    normal = normalize_search(title)
    return all(word in normal for word in words)


def _parse(name: str, markdown: str, language: str = ENGLISH) -> Document:
    # HTML in the text is shown as text: a page cannot bring scripts.
    parser = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])
    tokens = parser.parse(markdown)
    headings = tuple(_name_headings(tokens))
    _rewrite_targets(tokens, "docs" if language == ENGLISH else f"docs/{language}")
    title = headings[0].title if headings else name
    body = tokens[3:] if tokens and tokens[0].tag == "h1" else tokens  # the page shows the title itself
    html = parser.renderer.render(body, parser.options, {})
    return Document(
        name=name,
        title=title,
        summary=_first_sentence(tokens),
        headings=headings,
        html=html,
        language=language,
    )


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
            yield Heading(level=int(token.tag[1:]), title=title, anchor=anchor)


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


def _rewrite_targets(tokens: list[Token], folder: str) -> None:
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
                _rewrite_link(child, folder)


def _rewrite_link(link: Token, folder: str) -> None:
    target = str(link.attrGet("href") or "")
    if target.startswith(("#", "https://", "http://", "mailto:")):
        return
    path, _hash, anchor = normpath(join(folder, target)).partition("#")
    name = path.removeprefix(f"{folder}/").removeprefix("docs/").removesuffix(".md")
    if path in (f"docs/{name}.md", f"{folder}/{name}.md") and _NAME.fullmatch(name):
        link.attrSet("href", reverse("web:help_page", args=[name]) + (f"#{anchor}" if anchor else ""))
    else:
        link.tag = "span"
        link.attrs = {}
