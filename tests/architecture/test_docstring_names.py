"""A docstring or comment names only what exists: in backticks stand names, modules, settings, columns and
files.

Names are looked up in the distribution that the docstring belongs to: the sandbox may not name what only
Koppel defines.
"""

import ast
import builtins
import io
import re
import tokenize
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted(ROOT.glob("packages/*/src"))
TEXTS = (".css", ".csv", ".html", ".js", ".json", ".md", ".po", ".sql", ".toml", ".tsv", ".txt")
ELSEWHERE = {
    "AlreadyEnqueued": "an exception of Procrastinate that passes through",
    "TaskNotFound": "an exception of Procrastinate that passes through",
    "PoolTimeout": "an exception of psycopg's pool, recognised by its base class",
    "OnHold": "a vendor's way to write words",
    "on_hold": "the same in our way",
    "access.json": "a file of the data directory",
}
"""What is named and stands outside of the tree, with the reason."""
PLAIN_WORDS = {
    "after": "a key of the details of audit entries",
    "before": "a key of the details of audit entries",
    "announce": "a trigger of the database, made by a migration",
    "getaddrinfo": "a function of the operating system",
    "iss": "a claim of OpenID Connect",
    "metadata": "a key of a vendor's answers",
    "none": "a value of OpenID Connect's prompt",
    "view": "a mode of ninja's decorators",
}
"""Lower-case words that are no names of their module's code, with the reason."""

SPAN = re.compile(r"(?<!`)(``?)(?!`)([^`\n]+)\1(?!`)")
NAME = re.compile(r"[A-Za-z_][\w-]*(?:[./][\w*-]+)*")


def looks_like_code(word: str) -> bool:
    """snake_case, dotted, a path, or a class name; a plain word and a value are none."""
    return (
        "_" in word.strip("_")
        or bool(re.search(r"\w[./]\w", word))
        or bool(re.fullmatch(r"(?:[A-Z][a-z0-9]+){1,}[A-Z]?", word))
    )


def names_in(span: str) -> Iterator[str]:
    """The identifiers of what stands in backticks; a call without its arguments, a sentence without its
    words.
    """
    span = span.strip()
    call = re.fullmatch(r"([\w.]+)\(.*\)", span)
    if call:
        yield from filter(looks_like_code, [call[1]])
    elif NAME.fullmatch(span) and looks_like_code(span):
        yield span


def plain_word(span: str) -> str:
    """A single word in small letters, as parameters and fields are; '' for anything else."""
    word = re.sub(r"\(.*\)$", "", span.strip())
    return word if re.fullmatch(r"[a-z]{3,}", word) else ""


@cache
def prose_of(file: Path) -> tuple[tuple[int, str], ...]:
    """Line and text of docstrings, of strings that describe a name above them, and of comments."""
    source = text_of(file)
    texts = [
        (node.lineno, node.value.value)
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    ]
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    comments = [(token.start[0], token.string) for token in tokens if token.type == tokenize.COMMENT]
    return (*texts, *comments)


@cache
def text_of(file: Path) -> str:
    return file.read_text(encoding="utf-8", errors="replace")


@cache
def code_words(source: Path) -> frozenset[str]:
    """Every word of a distribution's code, of strings in it (columns, keys, SQL), and of its templates and
    styles.
    """
    return frozenset().union(*map(words_of, _files(source)))


@cache
def words_of(file: Path) -> frozenset[str]:
    """The words of one file, without those of its docstrings and comments."""
    text = text_of(file)
    if file.suffix != ".py":
        return frozenset(re.findall(r"[\w-]+", text))
    prose = {
        line
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        for line in range(node.lineno, (node.end_lineno or node.lineno) + 1)
    }
    return frozenset(
        word
        for token in tokenize.generate_tokens(io.StringIO(text).readline)
        if token.type != tokenize.COMMENT and not (token.type == tokenize.STRING and token.start[0] in prose)
        for word in re.findall(r"\w+", token.string)
    )


@cache
def words_near(file: Path) -> frozenset[str]:
    """The words of a module and of those that it imports."""
    tree = ast.parse(text_of(file))
    imports = (node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module)
    paths = {f"{node.module}.{alias.name}".replace(".", "/") for node in imports for alias in node.names}
    modules = {_module(path) or _module(path.rpartition("/")[0]) for path in paths}
    return words_of(file).union(*(words_of(module) for module in modules if module))


@cache
def paths() -> frozenset[str]:
    """Files and folders, each by every ending of its path, with and without the suffix."""
    ends: set[str] = set()
    for file in [*ROOT.glob("*"), *(ROOT / "docs").rglob("*"), *(ROOT / "tests").rglob("*"), *all_files()]:
        parts = file.relative_to(ROOT).parts
        for start in range(len(parts)):
            for end in range(start + 1, len(parts) + 1):
                path = "/".join(parts[start:end])
                ends |= {path, path.removesuffix(".py")}
    return frozenset(ends)


@cache
def exists(name: str, source: Path) -> bool:
    """Whether the text is a path, a module with what it defines, or words of the distribution's code."""
    if name in ELSEWHERE or name in paths() or name.replace(".", "/") in paths():
        return True
    *module, last = re.split(r"[./]", name)
    if name.startswith(("koppel.", "koppel_sandbox.", "tests.")):
        return any(
            file is not None and set(module[end:]) | {last} <= words_of(file)
            for end in range(1, len(module) + 1)
            for file in [_module("/".join(module[:end]))]
        )
    if any(f'"{name}"' in text_of(file) for file in _files(source) if file.suffix == ".py"):
        return True
    if "/" in name:
        return False
    modules = [
        file
        for file in _files(source)
        if file.suffix == ".py" and _dotted(file).endswith("." + ".".join(module))
    ]
    if module and modules:
        return any(re.search(rf"\b{last}\b", text_of(file)) for file in modules)
    return {*module, last} <= code_words(source) or hasattr(builtins, name)


def all_files() -> Iterator[Path]:
    return (file for source in SOURCES for file in _files(source))


@cache
def _files(source: Path) -> tuple[Path, ...]:
    return tuple(
        file
        for file in source.rglob("*")
        if (file.suffix in TEXTS or file.suffix == ".py")
        and not {"staticfiles", "__pycache__"} & set(file.parts)
    )


def _module(path: str) -> Path | None:
    candidates = [base / f"{path}{end}" for base in (*SOURCES, ROOT) for end in (".py", "/__init__.py")]
    return next((candidate for candidate in candidates if candidate.exists()), None)


def _dotted(file: Path) -> str:
    return "." + ".".join(file.with_suffix("").parts).removesuffix(".__init__")


@pytest.mark.parametrize(
    ("span", "names"),
    [
        ("displayed_name", ["displayed_name"]),
        ("reach_of(organisation_id, subject)", ["reach_of"]),
        ("koppel.books.storage.writer", ["koppel.books.storage.writer"]),
        ("NotFoundError", ["NotFoundError"]),
        ("data/divisions.tsv", ["data/divisions.tsv"]),
        ("koppel administrations list", []),
        ("2026-11", []),
        ("none", []),
        ("v1,<base64>", []),
    ],
)
def test_what_counts_as_a_name(span: str, names: list[str]) -> None:
    assert list(names_in(span)) == names


@pytest.mark.parametrize(
    "name", ["steps_as_data", "koppel.books.storage.keeper", "Unheard", "writer.unheard_of"]
)
def test_what_does_not_exist_is_noticed(name: str) -> None:
    assert not any(exists(name, source) for source in SOURCES)


def test_a_name_of_the_other_distribution_is_noticed() -> None:
    koppel, sandbox = (ROOT / "packages" / name / "src" for name in ("koppel", "koppel-sandbox"))
    assert exists("OAuthError", sandbox)
    assert not exists("OAuthError", koppel)
    assert not exists("NoSuchConnection", sandbox)


def test_docstrings_and_comments_name_only_what_exists() -> None:
    unknown = [
        f"{file.relative_to(ROOT)}:{line} {name}"
        for source in SOURCES
        for file in _files(source)
        if file.suffix == ".py" and "migrations" not in file.parts
        for line, text in prose_of(file)
        for _ticks, span in SPAN.findall(text)
        for name in names_in(span)
        if not exists(name, source)
    ]
    assert unknown == [], "\n".join(unknown)


APPS = {file.parent.name: file.parent for file in ROOT.glob("packages/koppel/src/koppel/*/__init__.py")}


def is_resolvable(name: str) -> bool:
    """Whether a dotted name that begins with an app is a module, or an attribute of one."""
    parts = name.split(".")
    modules = ((parts[end:], _module("/".join(["koppel", *parts[:end]]))) for end in range(len(parts), 0, -1))
    attributes, module = next((rest, file) for rest, file in modules if file)
    return not attributes or (module.name != "__init__.py" and attributes[0] in definitions(module))


def definitions(module: Path) -> set[str]:
    """The names that a module defines, without those of its classes and functions."""
    return {
        name
        for node in ast.parse(text_of(module)).body
        for name in (
            [target.id for target in node.targets if isinstance(target, ast.Name)]
            if isinstance(node, ast.Assign)
            else [node.target.id]
            if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
            else [getattr(node, "name", "")]
        )
    }


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("books.storage.row_deletion", True),
        ("books.storage.row_deletion.missing_keys", True),
        ("sync.models.Checkpoint", True),
        ("administrations.settings", False),
        ("books.storage.row_deletion.unheard_of", False),
    ],
)
def test_a_dotted_name_resolves_to_a_module_or_its_attribute(name: str, expected: bool) -> None:
    assert is_resolvable(name) == expected


def test_dotted_names_of_apps_resolve() -> None:
    (source,) = (source for source in SOURCES if source.parent.name == "koppel")
    codes = [text_of(file) for file in _files(source) if file.suffix == ".py"]
    unknown = [
        f"{file.relative_to(ROOT)}:{line} {name}"
        for file in _files(source)
        if file.suffix == ".py" and "migrations" not in file.parts
        for line, text in prose_of(file)
        for _ticks, span in SPAN.findall(text)
        for name in names_in(span)
        if name.partition(".")[0] in APPS and "." in name and "/" not in name
        if not is_resolvable(name) and not any(f'"{name}"' in text for text in codes)
    ]
    assert unknown == [], "\n".join(unknown)


def test_a_word_in_backticks_is_one_of_its_module() -> None:
    """A parameter or field that got another name is called so in the docstring too."""
    unknown = [
        f"{file.relative_to(ROOT)}:{line} {word}"
        for source in SOURCES
        for file in _files(source)
        if file.suffix == ".py" and "migrations" not in file.parts
        for line, text in prose_of(file)
        for _ticks, span in SPAN.findall(text)
        if (word := plain_word(span)) and word not in PLAIN_WORDS and word not in words_near(file) | paths()
    ]
    assert unknown == [], "\n".join(unknown)
