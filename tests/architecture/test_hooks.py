"""Who listens to a lower app is answered by reading the apps' `wiring.py`, and by nothing else."""

import ast
import importlib
from collections.abc import Iterator
from pathlib import Path

import koppel
from koppel.kit.hooks import Hook, Registry, SingleHook

PACKAGE = Path(koppel.__file__).parent
KINDS = {"Hook", "SingleHook", "Registry"}
MUTATING = {"add", "append", "clear", "extend", "insert", "pop", "remove", "setdefault", "update"}
STATE_OF_THE_PROCESS = {
    "koppel.connections.sessions.runtime._current_worker",
    "koppel.kit.database.embedded_postgres.credentials._chosen",
    "koppel.kit.database.threads._keep_connections",
    "koppel.kit.http.calls_in_progress._warned_paths",
    "koppel.web.auth.security_log._counted_at",
}
"""What a process knows of itself. No other app adds to it."""


def modules() -> Iterator[tuple[str, ast.Module]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        yield ".".join(part for part in parts if part != "__init__"), ast.parse(path.read_text())


def test_no_function_adds_to_a_list_of_its_module() -> None:
    """A function that registers would: a `Hook` or a `Registry` does it in the open."""
    written = {f"{name}.{container}" for name, code in modules() for container in written_containers(code)}
    assert written == STATE_OF_THE_PROCESS


def test_such_a_list_is_found() -> None:
    code = (
        "_listeners = []\n_names: dict[str, int] = {}\nFIXED = [1]\ndef register(one):\n    _listeners[:] "
        "= [one]\n"
    )
    assert written_containers(ast.parse(code)) == {"_listeners"}
    assert written_containers(ast.parse(f"{code}    _names.update({{'a': 1}})")) == {"_listeners", "_names"}


def written_containers(code: ast.Module) -> set[str]:
    """Lists, dictionaries and sets of the module that one of its functions writes to."""
    containers = {target.id for target, value in assignments(code) if is_container(value)}
    functions = (node for node in ast.walk(code) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    return {
        name for function in functions for node in ast.walk(function) for name in written_names(node)
    } & containers


def assignments(code: ast.Module) -> Iterator[tuple[ast.Name, ast.expr]]:
    for statement in code.body:
        if isinstance(statement, ast.Assign | ast.AnnAssign) and statement.value is not None:
            targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
            yield from ((target, statement.value) for target in targets if isinstance(target, ast.Name))


def is_container(value: ast.expr) -> bool:
    if isinstance(value, ast.Call):
        return ast.unparse(value.func).split("[")[0] in (
            "list",
            "dict",
            "set",
            "defaultdict",
            "Counter",
            "deque",
        )
    return isinstance(value, ast.List | ast.Dict | ast.Set | ast.ListComp | ast.DictComp | ast.SetComp)


def written_names(node: ast.AST) -> Iterator[str]:
    """Names that this writes into, or binds anew for the module."""
    if isinstance(node, ast.Global):
        yield from node.names
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in MUTATING:
        yield ast.unparse(node.func.value)
    if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store | ast.Del):
        yield ast.unparse(node.value)


def test_hooks_stand_in_hooks_and_are_documented() -> None:
    """When a hook is called, in which transaction, and what an exception does: a listener's author needs no
    more.
    """
    misplaced, silent = [], []
    for name, code in modules():
        for position, (hook, kind) in declared_hooks(code).items():
            if kind != "Registry" and name.split(".")[-1] != "hooks":
                misplaced.append(f"{name}.{hook}")
            following = code.body[position + 1 : position + 2]
            if not any(
                isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
                for statement in following
            ):
                silent.append(f"{name}.{hook}")
    assert (misplaced, silent) == ([], [])


def declared_hooks(code: ast.Module) -> dict[int, tuple[str, str]]:
    """Hooks and registries of a module: the statement's position, name and kind."""
    hooks = {}
    for position, statement in enumerate(code.body):
        if isinstance(statement, ast.Assign) and isinstance(statement.value, ast.Call):
            kind = ast.unparse(statement.value.func).split("[")[0]
            if kind in KINDS:
                hooks[position] = (ast.unparse(statement.targets[0]), kind)
    return hooks


def test_listeners_are_registered_by_wiring_alone() -> None:
    hooks = {hook for _name, code in modules() for hook, _kind in declared_hooks(code).values()}
    elsewhere = [
        f"{name}: {ast.unparse(node.func)}"
        for name, code in modules()
        if name.split(".")[-1] != "wiring" and name != "koppel.kit.hooks"
        for node in ast.walk(code)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
        if node.func.attr in ("register", "register_all")
        and ast.unparse(node.func.value).split(".")[-1] in hooks
    ]
    assert elsewhere == []


def test_every_hook_has_a_listener() -> None:
    """One that nobody listens to is a promise that nobody keeps."""
    unheard = [
        f"{name}.{hook}"
        for name, code in modules()
        for hook, _kind in declared_hooks(code).values()
        if not has_listener(getattr(importlib.import_module(name), hook))
    ]
    assert unheard == []


def has_listener(hook: Hook[..., object] | SingleHook[..., object] | Registry[object]) -> bool:
    if isinstance(hook, Hook):
        return bool(hook.listeners)
    return hook.listener is not None if isinstance(hook, SingleHook) else bool(hook)
