"""Codes of audit actions, issues and events are members of an app's enum: declared, labelled, translated, used."""

import ast
import importlib
from collections.abc import Iterator
from pathlib import Path

import polib
import pytest
from django.utils.functional import Promise
from django.utils.translation import override

from koppel.audit.audit_actions import AuditAction
from koppel.audit.hooks import audit_actions
from tests.fixtures.environment import KOPPEL as PACKAGE

RECORDED_ELSEWHERE = {
    "AuditLogAction.EXPIRED": "the SQL function audit_expire writes it, in the transaction that deletes",
    "DivisionAction.CREATED": "recorded by GroupType through its field `actions`",
    "DivisionAction.CHANGED": "recorded by GroupType through its field `actions`",
    "TemplateAction.CREATED": "recorded by GroupType through its field `actions`",
    "TemplateAction.CHANGED": "recorded by GroupType through its field `actions`",
}
TAKING_CODES = {"record", "_record", "record_change", "record_action"}
"""Functions that take a code, by name."""


def modules() -> Iterator[tuple[Path, ast.Module]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        if "migrations" not in path.parts:
            yield path, ast.parse(path.read_text())


def used_members() -> set[str]:
    """`Class.MEMBER` wherever it is read."""
    return {
        ast.unparse(node)
        for _path, code in modules()
        for node in ast.walk(code)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
    }


def app_of(member: object) -> Path:
    """The folder of the app that declares the member."""
    return PACKAGE / type(member).__module__.split(".")[1]


def translations(app: Path) -> dict[str, str]:
    entries = polib.pofile(str(app / "locale/nl/LC_MESSAGES/django.po"))
    return {entry.msgid: entry.msgstr for entry in entries if entry.translated()}


def test_every_declared_audit_action_is_registered() -> None:
    declared = {
        action
        for path in PACKAGE.glob("*/audit_actions.py")
        for action in importlib.import_module(f"koppel.{path.parent.name}.audit_actions").AUDIT_ACTIONS
    }
    assert declared == set(audit_actions.values())
    subclasses = {member for actions in AuditAction.__subclasses__() for member in actions}
    assert subclasses == declared


def test_every_audit_action_has_a_label_and_a_dutch_one() -> None:
    for action in audit_actions.values():
        assert isinstance(action.label, Promise)
        with override("en"):
            assert translations(app_of(action)).get(str(action.label)), action


def test_every_audit_action_is_recorded_somewhere() -> None:
    used = used_members()
    unused = {f"{type(action).__name__}.{action.name}" for action in audit_actions.values()} - used
    assert unused == RECORDED_ELSEWHERE.keys()


def test_no_code_is_given_as_a_bare_string() -> None:
    bare = [f"{path}:{line}" for path, code in modules() for line in bare_codes(code)]
    assert bare == []


@pytest.mark.parametrize(
    "call",
    [
        'record(1, who, "person.changed")',
        'record(1, who, action=f"person.{kind}")',
        'record(1, who, "a.b" if x else y)',
    ],
)
def test_a_bare_code_is_found(call: str) -> None:
    assert list(bare_codes(ast.parse(call))) == [1]


def bare_codes(code: ast.AST) -> Iterator[int]:
    """Lines of calls whose code is text: the third argument of `record`, the second of what wraps it."""
    for node in ast.walk(code):
        if not isinstance(node, ast.Call) or ast.unparse(node.func).split(".")[-1] not in TAKING_CODES:
            continue
        named = [keyword.value for keyword in node.keywords if keyword.arg in ("action", "code", "event_type")]
        if any(is_text(argument) for argument in (*node.args[:3], *named)):
            yield node.lineno


def is_text(value: ast.expr) -> bool:
    if isinstance(value, ast.IfExp):
        return is_text(value.body) or is_text(value.orelse)
    return isinstance(value, ast.JoinedStr) or (isinstance(value, ast.Constant) and isinstance(value.value, str))
