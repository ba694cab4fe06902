"""A browser for programs: follows links and redirects, keeps cookies, fills in the forms that a person would
see.
"""

from dataclasses import dataclass, field
from html.parser import HTMLParser
from http.client import HTTPException
from http.cookiejar import CookieJar
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode, urljoin
from urllib.request import HTTPCookieProcessor, HTTPRedirectHandler, Request, build_opener

TIMEOUT_SECONDS = 60


class UnexpectedPage(Exception):
    """A page is not what the job expects. Names the page and what was missing."""


@dataclass(kw_only=True)
class HtmlForm:
    """A form with its initial values: hidden fields, defaults, ticked boxes. `buttons` are (name, value,
    text).
    """

    action: str
    method: str
    mode: str = ""
    fields: list[tuple[str, str]] = field(default_factory=list)
    boxes: list[tuple[str, str]] = field(default_factory=list)
    buttons: list[tuple[str, str, str]] = field(default_factory=list)
    names: set[str] = field(default_factory=set)
    options: dict[str, list[tuple[str, str]]] = field(default_factory=dict)


@dataclass(kw_only=True)
class HtmlPage:
    url: str
    status: int
    text: str
    forms: list[HtmlForm]
    links: list[tuple[str, str]]

    def form(self, *names: str, button: str = "", mode: str = "") -> HtmlForm:
        """Return the first form with all these fields, and with a button of this name. Raises
        `UnexpectedPage`.
        """
        for candidate in self.forms:
            has_button = not button or any(name == button for name, _v, _t in candidate.buttons)
            if set(names) <= candidate.names and has_button and mode in ("", candidate.mode):
                return candidate
        raise UnexpectedPage(
            f"{self.url} has no form with {', '.join((*names, button))}. It begins: {self.excerpt}"
        )

    def link(self, part: str) -> str:
        """Return the first link whose address contains `part`. Raises `UnexpectedPage`."""
        for address, _text in self.links:
            if part in address:
                return address
        raise UnexpectedPage(f"{self.url} has no link to {part}. It begins: {self.excerpt}")

    @property
    def excerpt(self) -> str:
        return " ".join(self.text.split())[:300]


class Browser:
    """A browser of one person. Cookies are kept per host, as the standard library's policy has it."""

    def __init__(self, language: str = "en") -> None:
        self._opener = build_opener(HTTPCookieProcessor(CookieJar()), HTTPRedirectHandler())
        self._language = language

    def get(self, url: str) -> HtmlPage:
        return self._open(Request(url))  # noqa: S310 - addresses of the demo's own stack

    def submit(
        self, page: HtmlPage, form: HtmlForm, values: dict[str, Any], *, button: str = "", value: str = ""
    ) -> HtmlPage:
        """Send a form with `values` instead of its defaults; a list gives several fields of one name."""
        sent = [(name, text) for name, text in form.fields if name not in values]
        for name, field_value in values.items():
            sent += [
                (name, str(text))
                for text in (field_value if isinstance(field_value, list) else [field_value])
            ]
        pressed = next(
            (
                name_and_value
                for name_and_value in form.buttons
                if name_and_value[0] == button and value in ("", name_and_value[1])
            ),
            None,
        )
        if pressed:
            sent.append((pressed[0], pressed[1]))
        target = urljoin(page.url, form.action or page.url)
        if form.method == "get":
            return self.get(target.partition("?")[0] + "?" + urlencode(sent))
        request = Request(target, data=urlencode(sent).encode(), headers={"Referer": page.url})  # noqa: S310 - as above
        return self._open(request)

    def _open(self, request: Request) -> HtmlPage:
        """Send a request and return the page. Raises `OSError` when no complete answer comes."""
        request.add_header("Accept-Language", self._language)
        try:
            with self._opener.open(request, timeout=TIMEOUT_SECONDS) as response:
                return _page(response.geturl(), response.status, response.read().decode())
        except HTTPError as error:
            return _page(
                error.geturl() or request.full_url, error.code, error.read().decode(errors="replace")
            )
        except HTTPException as error:
            raise ConnectionError(f"{request.full_url} broke off ({type(error).__name__}).") from None


def _page(url: str, status: int, text: str) -> HtmlPage:
    reader = _HtmlReader()
    reader.feed(text)
    return HtmlPage(
        url=url,
        status=status,
        text=text,
        forms=reader.forms,
        links=[(urljoin(url, address), label) for address, label in reader.links],
    )


class _HtmlReader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.forms: list[HtmlForm] = []
        self.links: list[tuple[str, str]] = []
        self._form: HtmlForm | None = None
        self._select = ""
        self._area = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = {name: value or "" for name, value in attrs}
        if tag == "form":
            self._form = HtmlForm(
                action=attributes.get("action", ""),
                method=attributes.get("method", "get").lower(),
                mode=attributes.get("data-mode", ""),
            )
            self.forms.append(self._form)
        elif tag == "a" and attributes.get("href"):
            self.links.append((attributes["href"], ""))
        elif self._form is not None:
            self._control(tag, attributes, self._form)

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._form = None
        elif tag == "select":
            self._select = ""
        elif tag == "textarea":
            self._area = ""

    def handle_data(self, data: str) -> None:
        if self._area and self._form is not None:
            self._form.fields.append((self._area, data))

    def _control(self, tag: str, attributes: dict[str, str], form: HtmlForm) -> None:
        name, kind = attributes.get("name", ""), attributes.get("type", "text").lower()
        if tag == "button" or (tag == "input" and kind == "submit"):
            form.buttons.append((name, attributes.get("value", ""), ""))
        elif tag == "option" and self._select:
            form.options[self._select].append((attributes.get("value", ""), ""))
            if "selected" in attributes:
                form.fields.append((self._select, attributes.get("value", "")))
        elif name and tag in ("input", "select", "textarea"):
            form.names.add(name)
            self._field(tag, kind, name, attributes, form)

    def _field(self, tag: str, kind: str, name: str, attributes: dict[str, str], form: HtmlForm) -> None:
        if tag == "select":
            self._select = name
            form.options[name] = []
        elif tag == "textarea":
            self._area = name
        elif kind in ("checkbox", "radio"):
            form.boxes.append((name, attributes.get("value", "on")))
            if "checked" in attributes:
                form.fields.append((name, attributes.get("value", "on")))
        elif "disabled" not in attributes and kind not in ("file", "button", "reset"):
            form.fields.append((name, attributes.get("value", "")))
