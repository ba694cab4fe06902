"""Names say what they hold: words that could name anything name no module, class, function, parameter, local,
attribute, key of a dict or variable of a template.
"""

import ast
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
VAGUE = frozenset((Path(__file__).parent / "vague-words.txt").read_text(encoding="utf-8").split())
FOLDERS = ("packages", "tests", "bench")
ALLOWED: dict[str, str] = {
    "packages/koppel/src/koppel/company_registers/clients/protocol.py: "
    "FOUND": "stored outcome, beside NOT_FOUND",
    "packages/koppel/src/koppel/notifications/models.py: CLAIMED": "state of a row of an outbox",
}
"""`file: name` with the reason why no better name exists."""

SHORT_SCOPES = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp, ast.Lambda)


def vague_names(source: str) -> Iterator[tuple[int, str]]:
    """Line and name of each definition that is called by a vague word.

    A one-line comprehension or lambda may use them.
    """
    tree = ast.parse(source)
    exempt = {
        part
        for node in ast.walk(tree)
        if isinstance(node, SHORT_SCOPES) and node.lineno == node.end_lineno
        for part in ast.walk(node)
    }
    for node in ast.walk(tree):
        if node in exempt:
            continue
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            name = node.name
        elif isinstance(node, ast.arg):
            name = node.arg
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            name = node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            name = node.attr
        else:
            continue
        if name.strip("_").lower() in VAGUE:
            yield node.lineno, name


def class_names(source: str) -> list[str]:
    return [
        node.name
        for node in ast.parse(source).body
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
    ]


SHARED_NAMES = {
    "CostCode": "a vendor's JSON, and the books' table",
    "RejectedRecord": "of a connector, and its row",
}
"""Classes that two modules name alike, with the reason."""


IDS = re.compile(r"_ids\b|['\"]pk['\"]")


def ids_called_key(source: str) -> Iterator[int]:
    """Lines on which a primary key is called `key`, the name of a key of a dict."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.For | ast.comprehension):
            names = {part.id for part in ast.walk(node.target) if isinstance(part, ast.Name)}
            if "key" in names and IDS.search(ast.unparse(node.iter)):
                yield node.target.lineno
        elif (
            isinstance(node, ast.keyword)
            and isinstance(node.value, ast.Name)
            and node.value.id == "key"
            and (node.arg == "pk" or (node.arg or "").endswith("_id"))
        ):
            yield node.value.lineno


def orphaned_strings(source: str) -> Iterator[int]:
    """Lines of strings that document nothing: they follow neither a definition's head nor an assignment."""
    for node in ast.walk(ast.parse(source)):
        body = getattr(node, "body", None)
        statements = body if isinstance(body, list) else []
        for before, statement in zip([None, *statements], statements, strict=False):
            if not (isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)):
                continue
            documents = (
                isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
                if before is None
                else isinstance(before, ast.Assign | ast.AnnAssign)
            )
            if isinstance(statement.value.value, str) and not documents:
                yield statement.lineno


def vague_keys(source: str) -> Iterator[tuple[int, str]]:
    """Line and key of each string key, of a dict or stored by subscript, that is a vague word."""
    for node in ast.walk(ast.parse(source)):
        keys: list[ast.expr | None] = []
        if isinstance(node, ast.Dict):
            keys = node.keys
        elif isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store):
            keys = [node.slice]
        for key in keys:
            if isinstance(key, ast.Constant) and isinstance(key.value, str) and key.value.lower() in VAGUE:
                yield key.lineno, key.value


LOOP = re.compile(r"{% for ([\w, ]+) in ")
WITH = re.compile(r"{% (?:with|include|blocktranslate) [^%]*%}")


def vague_template_variables(template: str) -> set[str]:
    """Names that a template gives to what it loops over, or by `with`."""
    names = {name.strip() for loop in LOOP.findall(template) for name in loop.split(",")}
    names |= {name for tag in WITH.findall(template) for name in re.findall(r"\s(\w+)=", tag)}
    return names & VAGUE


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("self._asked = 0", ["_asked"]),
        ("def asked(place, *, given): ...", ["asked", "place", "given"]),
        ("class Standing: ...", ["Standing"]),
        ("def total(rows):\n    found = [one.amount for one in rows]\n    return sum(found)", ["found"]),
        ("for one in rows:\n    print(one)", ["one"]),
        ("names = [\n    one.name\n    for one in rows\n]", ["one"]),
        ("def total(amounts):\n    return sum(one for one in amounts)", []),
        ("rows.sort(key=lambda one: one.name)", []),
    ],
)
def test_what_counts_as_vague(source: str, names: list[str]) -> None:
    assert sorted(name for _line, name in vague_names(source)) == sorted(names)


def test_no_module_has_a_vague_name() -> None:
    modules = [file for folder in FOLDERS for file in (ROOT / folder).rglob("*.py")]
    assert [str(file.relative_to(ROOT)) for file in modules if file.stem.strip("_").lower() in VAGUE] == []


def test_nothing_is_called_by_a_vague_word() -> None:
    vague = [
        f"{file.relative_to(ROOT)}:{line} {name}"
        for folder in FOLDERS
        for file in sorted((ROOT / folder).rglob("*.py"))
        if "migrations" not in file.parts
        for line, name in vague_names(file.read_text(encoding="utf-8"))
        if f"{file.relative_to(ROOT)}: {name}" not in ALLOWED
    ]
    assert vague == [], "\n".join(vague)


def test_each_class_name_has_one_meaning() -> None:
    modules: dict[str, list[str]] = {}
    for file in sorted((ROOT / "packages/koppel/src").rglob("*.py")):
        if not {"migrations", "management"} & set(file.parts):
            for name in class_names(file.read_text(encoding="utf-8")):
                modules.setdefault(name, []).append(str(file.relative_to(ROOT)))
    assert {name: files for name, files in modules.items() if len(files) > 1}.keys() == SHARED_NAMES.keys()


def test_no_primary_key_is_called_key() -> None:
    assert list(ids_called_key("for key in company_ids: ...")) == [1]
    assert list(ids_called_key("rows.filter(pk=key)")) == [1]
    assert list(ids_called_key("for key, value in values.items(): ...")) == []
    assert lines_in_packages(ids_called_key) == []


def test_each_string_documents_something() -> None:
    assert list(orphaned_strings("import os\n'Lost.'\nsize = 1\n'In bytes.'")) == [2]
    assert lines_in_packages(orphaned_strings) == []


def lines_in_packages(search: Callable[[str], Iterator[int]]) -> list[str]:
    return [
        f"{file.relative_to(ROOT)}:{line}"
        for file in sorted((ROOT / "packages").rglob("*.py"))
        if "migrations" not in file.parts
        for line in search(file.read_text(encoding="utf-8"))
    ]


def test_a_vague_key_and_a_vague_template_variable_are_found() -> None:
    assert [key for _line, key in vague_keys("facts = {'place': 1, 'name': 2}\nfacts['standing'] = 3")] == [
        "place",
        "standing",
    ]
    template = (
        "{% for key, one in rows %}{% with found=one.rows %}{% include 'x' with made=found %}{% for "
        "row in rows %}"
    )
    assert vague_template_variables(template) == {"one", "found", "made"}


def test_no_dict_has_a_vague_key() -> None:
    files = [file for file in sorted((ROOT / "packages").rglob("*.py")) if "migrations" not in file.parts]
    assert files
    vague = [
        f"{file.relative_to(ROOT)}:{line} {key}"
        for file in files
        for line, key in vague_keys(file.read_text(encoding="utf-8"))
    ]
    assert vague == [], "\n".join(vague)


def test_no_template_has_a_vague_variable() -> None:
    files = sorted((ROOT / "packages").rglob("templates/**/*.*"))
    assert files
    vague = [
        f"{file.relative_to(ROOT)} {name}"
        for file in files
        for name in sorted(vague_template_variables(file.read_text(encoding="utf-8")))
    ]
    assert vague == [], "\n".join(vague)
