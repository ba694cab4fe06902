"""Every route of the web and its permissions: pages from the URL resolver, operations from the API's
description.

`python -m koppel.web.permission_matrix` updates `docs/permissions.md`: new routes get a row with `?`, rows
without a route are dropped. `tests/web/test_permissions.py` opens every route in each role and reports what
to write instead of `?`.
"""

import inspect
import os
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import django
from django.urls import URLPattern, URLResolver, get_resolver, resolve

from koppel.kit.web import paths

TABLE = Path(__file__).resolve().parents[5] / "docs" / "permissions.md"
HEAD = "| Route | Method | Who |\n|---|---|---|\n"
ROW = re.compile(r"^\| `(?P<path>/[^`]*)` \| (?P<method>[A-Z]+) \| (?P<who>[^|]*?) \|$", re.MULTILINE)
_CHANGES = re.compile(
    r"\brequire_POST\b|\brequire_http_methods\b|\brequest\.method\b|\brequest\.POST\b|\brequest\.FILES\b"
)


@dataclass(frozen=True, order=True)
class Route:
    """`path` in the form of the docs: `/administrations/{administration_id}/`."""

    path: str
    method: str


def routes() -> set[Route]:
    """Return all routes."""
    return set(_pages(get_resolver().url_patterns, "/")) | set(_operations())


def permissions_by_route(text: str) -> dict[Route, str]:
    """Return the permission of each route in the table of a page. Raises `ValueError` for duplicates."""
    who_by_route: dict[Route, str] = {}
    for row in ROW.finditer(text):
        route = Route(row["path"], row["method"])
        if route in who_by_route:
            raise ValueError(f"{route.method} {route.path} has two rows.")
        who_by_route[route] = row["who"]
    return who_by_route


def update_table(text: str) -> str:
    """Return the page with a row for each existing route, sorted."""
    existing = permissions_by_route(text)
    lines = [
        f"| `{route.path}` | {route.method} | {existing.get(route, '?')} |" for route in sorted(routes())
    ]
    return text.partition(HEAD)[0] + HEAD + "\n".join(lines) + "\n"


def _pages(patterns: Iterable[URLPattern | URLResolver], prefix: str) -> Iterator[Route]:
    for entry in patterns:
        path = prefix + _format_pattern(str(entry.pattern))
        if isinstance(entry, URLResolver):
            yield from _pages(entry.url_patterns, path)
        elif not path.startswith(paths.API) or path.endswith("openapi.json"):
            yield from (Route(path, method) for method in _methods(entry.callback))


def _format_pattern(pattern: str) -> str:
    """Return the pattern with `{key}` for `<int:key>` and `(?P<key>…)`, without anchors of regular
    expressions.
    """
    pattern = re.sub(r"<(?:\w+:)?(\w+)>(?!\[|\.|\()", r"{\1}", pattern) if "(?P" not in pattern else pattern
    pattern = re.sub(r"\(\?P<(\w+)>[^()]*\)", r"{\1}", pattern)
    return re.sub(r"^\^|\$$|\\", "", pattern)


def _methods(view: Any) -> list[str]:
    """Return GET and POST, as far as the view's own code handles them."""
    if (kind := getattr(view, "view_class", None)) is not None:
        return [method for method in ("GET", "POST") if hasattr(kind, method.lower())]
    if isinstance(view, partial):  # ninja's description of itself
        return ["GET"]
    if (only := _required_methods(view)) is not None:
        return only
    code = inspect.getsource(inspect.unwrap(view))
    return ["GET", "POST"] if _CHANGES.search(code) else ["GET"]


def _required_methods(view: Any) -> list[str] | None:
    """Return the methods that Django's `require_http_methods` or `require_POST` allows, however the view is
    wrapped.
    """
    while view is not None:
        closed_over = inspect.getclosurevars(view).nonlocals
        if "request_method_list" in closed_over:
            return [method for method in ("GET", "POST") if method in closed_over["request_method_list"]]
        view = getattr(view, "__wrapped__", None)
    return None


def _operations() -> Iterator[Route]:
    describes: Any = resolve(f"{paths.API}v1/openapi.json").func
    for path, methods in describes.keywords["api"].get_openapi_schema()["paths"].items():
        yield from (Route(path, method.upper()) for method in methods)


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "koppel.settings")
    django.setup()
    before = TABLE.read_text()
    after = update_table(before)
    TABLE.write_text(after)
    sys.stdout.writelines(f"{line}\n" for line in after.splitlines() if line not in set(before.splitlines()))
