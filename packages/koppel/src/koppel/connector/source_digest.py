"""The digest of a normaliser's code: what a test compares to find code that changed without its version.

It covers the function, and what that names of its own package and of Koppel: helpers, constants, wire types,
row types. Comments, docstrings and the arrangement of lines do not count.
"""

import ast
import hashlib
import importlib
import inspect
from collections.abc import Callable, Iterator
from functools import cache
from types import ModuleType
from typing import Any

DIGITS = 16


def source_digest(function: Callable[..., Any]) -> str:
    """Return the digest of the module-level function and of everything that it names in these packages."""
    packages = {"koppel", function.__module__.partition(".")[0]}
    shapes: dict[tuple[str, str], str] = {}
    _collect(function.__module__, function.__name__, packages, shapes)
    text = "\n".join(f"{module}.{name} {shape}" for (module, name), shape in sorted(shapes.items()))
    return hashlib.sha256(text.encode()).hexdigest()[:DIGITS]


def _collect(module_name: str, name: str, packages: set[str], shapes: dict[tuple[str, str], str]) -> None:
    statement = _definitions(module_name).get(name)
    if statement is None or (module_name, name) in shapes:
        return
    shapes[module_name, name] = repr(_shape(statement))
    module = importlib.import_module(module_name)
    for used_module, used_name in _uses(module, statement):
        if used_module.partition(".")[0] in packages:
            _collect(used_module, used_name, packages, shapes)


@cache
def _definitions(module_name: str) -> dict[str, ast.stmt]:
    """Return the statement that defines each module-level name."""
    tree = ast.parse(inspect.getsource(importlib.import_module(module_name)))
    definitions: dict[str, ast.stmt] = {}
    for statement in tree.body:
        if isinstance(statement, ast.FunctionDef | ast.ClassDef):
            definitions[statement.name] = statement
        elif isinstance(statement, ast.Assign | ast.AnnAssign):
            targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
            names = [node.id for target in targets for node in ast.walk(target) if isinstance(node, ast.Name)]
            definitions |= dict.fromkeys(names, statement)
    return definitions


def _uses(module: ModuleType, statement: ast.stmt) -> Iterator[tuple[str, str]]:
    """Yield the module and name of everything that the statement names: here, imported, or of a module."""
    imported = {
        alias.asname or alias.name: (node.module or "", alias.name)
        for node in ast.parse(inspect.getsource(module)).body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    for node in ast.walk(statement):
        if isinstance(node, ast.Name):
            yield imported.get(node.id, (module.__name__, node.id))
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            owner = getattr(module, node.value.id, None)
            if isinstance(owner, ModuleType):
                yield owner.__name__, node.attr


def _shape(node: Any) -> Any:
    """Return the syntax without positions and docstrings, equal in all versions of Python."""
    if isinstance(node, list):
        return [_shape(each) for each in node if not _is_docstring(each)]
    if not isinstance(node, ast.AST):
        return node
    fields = ((name, _shape(value)) for name, value in ast.iter_fields(node) if name != "kind")
    return (type(node).__name__, [(name, value) for name, value in fields if value not in (None, [])])


def _is_docstring(node: Any) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )
