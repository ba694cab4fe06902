"""URL names obey the order of imports: an app names its own pages and those of lower apps, and writes no path
by hand.

Where a page of a lower app links to one of a higher app, the higher app registers the URL with a hook of the
lower one.
"""

import ast
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

import pytest
from django.urls import URLPattern, URLResolver, get_resolver

from tests.architecture.test_foreign_keys import may_reference
from tests.fixtures.environment import KOPPEL

REVERSING = {"reverse", "reverse_lazy", "redirect", "resolve_url", "to"}
REDIRECTING = {"HttpResponseRedirect", "redirect", "resolve_url"}
URLS_OF_LIBRARIES = ("account_", "mfa_")
"""allauth's names, published by its documentation: whoever has `LOGIN_URL` may link there."""
PATHS_ALLOWED = {
    "kit/web/paths.py": "what is matched before URLs are resolved, or asked without Django; said once",
    "cli/demo/smoke_run.py": "drives Koppel from outside, as a browser and a client of the API do, "
    "without Django",
    "web/templates/500.html": "must also work where URLs cannot be loaded",
}
PLACEHOLDER = "\0"
_PARAMETER = re.compile(r"\(\?P<\w+>[^)]*\)|<[^>]+>")
_TAG = re.compile(r"""\{%\s*url\s+["']([^"']+)["']""")
_ATTRIBUTE = re.compile(r"""\b(?:href|action|formaction|hx-get|hx-post|src)=["'](/[^"'{]*)""")


@cache
def owners() -> Mapping[str, str]:
    """The app of every URL name, with its namespace: that of its view."""
    return dict(_iterate_url_names(get_resolver(), ""))


def _iterate_url_names(resolver: URLResolver, namespace: str) -> Iterator[tuple[str, str]]:
    for entry in resolver.url_patterns:
        if isinstance(entry, URLResolver):
            yield from _iterate_url_names(
                entry, f"{namespace}{entry.namespace}:" if entry.namespace else namespace
            )
        elif entry.name:
            yield f"{namespace}{entry.name}", "api" if namespace == "api:" else _app_of(entry)


def _app_of(pattern: URLPattern) -> str:
    package, _, rest = pattern.callback.__module__.partition(".")
    return rest.split(".")[0] if package == "koppel" else ""


@cache
def our_paths() -> re.Pattern[str]:
    """Every path that Koppel answers but `/`, with a placeholder for each parameter."""
    patterns = sorted(set(_paths(get_resolver(), "/")) - {"/"})
    return re.compile("|".join(f"(?:{pattern})" for pattern in patterns))


def _paths(resolver: URLResolver, prefix: str) -> Iterator[str]:
    for entry in resolver.url_patterns:
        path = prefix + _PARAMETER.sub("[^/?#]+", str(entry.pattern).lstrip("^").rstrip("$"))
        if isinstance(entry, URLResolver):
            yield from _paths(entry, path)
        else:
            yield path


def names_in_python(text: str) -> Iterator[tuple[int, str]]:
    """(line, URL name) of what is reversed, and of every text that is a name with its namespace."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Call) and _called_name(node) in REVERSING and node.args:
            yield from ((one.lineno, one.value) for one in ast.walk(node.args[0]) if _is_text(one))
        elif _is_text(node) and ":" in node.value and node.value in owners():
            yield node.lineno, node.value


def paths_in_python(text: str) -> Iterator[tuple[int, str]]:
    """(line, path) of texts that are a page of ours, whole or behind a variable; `/` only where it is
    redirected to.
    """
    tree = ast.parse(text)
    parts = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and _called_name(node) in REDIRECTING:
            yield from ((one.lineno, "/") for one in node.args if _is_text(one) and one.value == "/")
        elif isinstance(node, ast.JoinedStr) or (_is_text(node) and id(node) not in parts):
            path = _literal_text(node).lstrip(PLACEHOLDER)
            if our_paths().fullmatch(re.split(r"[?#]", path)[0]):
                yield node.lineno, path.replace(PLACEHOLDER, "…")


def _literal_text(node: ast.expr) -> str:
    if isinstance(node, ast.JoinedStr):
        return "".join(
            str(part.value) if isinstance(part, ast.Constant) else PLACEHOLDER for part in node.values
        )
    return str(getattr(node, "value", ""))


def _called_name(call: ast.Call) -> str:
    return str(getattr(call.func, "id", getattr(call.func, "attr", "")))


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def python_files() -> list[Path]:
    return [file for file in KOPPEL.rglob("*.py") if "migrations" not in file.parts]


def templates() -> list[Path]:
    return [file for file in KOPPEL.rglob("templates/**/*") if file.suffix in (".html", ".txt")]


def short_path(file: Path) -> str:
    return file.relative_to(KOPPEL).as_posix()


def may_link_to(file: Path, name: str) -> bool:
    """Whether the file's app may link there. What is no name of ours is somebody else's affair."""
    owner, app = owners().get(name, ""), file.relative_to(KOPPEL).parts[0]
    return not owner or name.startswith(URLS_OF_LIBRARIES) or app.endswith(".py") or may_reference(app, owner)


def test_python_names_no_page_of_a_higher_app() -> None:
    wrong = [
        f"{short_path(file)}:{line} {name}"
        for file in python_files()
        for line, name in names_in_python(file.read_text())
        if not may_link_to(file, name)
    ]
    assert wrong == [], "\n".join(wrong)


def test_templates_name_no_page_of_a_higher_app() -> None:
    wrong = [
        f"{short_path(file)} {name}"
        for file in templates()
        for name in _TAG.findall(file.read_text())
        if not may_link_to(file, name)
    ]
    assert wrong == [], "\n".join(wrong)


def test_every_name_in_a_template_exists() -> None:
    wrong = [
        f"{short_path(file)} {name}"
        for file in templates()
        for name in _TAG.findall(file.read_text())
        if name not in owners()
    ]
    assert wrong == [], "\n".join(wrong)


def test_no_path_is_written_by_hand() -> None:
    in_python = [
        f"{short_path(file)}:{line} {path}"
        for file in python_files()
        for line, path in paths_in_python(file.read_text())
    ]
    in_templates = [
        f"{short_path(file)} {path}"
        for file in templates()
        for path in _ATTRIBUTE.findall(file.read_text())
        if not path.startswith("/static/")
    ]
    wrong = [line for line in in_python + in_templates if not line.startswith(tuple(PATHS_ALLOWED))]
    assert wrong == [], "\n".join(wrong)


@pytest.mark.parametrize(
    ("code", "paths"),
    [
        ('link = f"/connections/{key}/"', ["/connections/…/"]),
        ('link = f"{settings.PUBLIC_URL}/administrations/?import={key}"', ["/administrations/?import=…"]),
        ('return HttpResponseRedirect("/")', ["/"]),
        ('name.replace("/", "_")', []),
        ('client.get("/api/v1/basisprofielen/")', []),
    ],
)
def test_a_path_is_found_in_any_dress(code: str, paths: list[str]) -> None:
    assert [path for _line, path in paths_in_python(code)] == paths


def test_a_name_is_found_in_a_call_and_beside_it() -> None:
    code = 'redirect("invitation", 1)\nTab("Books", "books:overview")\ntext = "not: a name"'
    assert [name for _line, name in names_in_python(code)] == ["invitation", "books:overview"]
