"""Codes of audit actions, issues and events are enum members: declared, labelled, translated and used."""

import ast
import importlib
import re
from collections.abc import Iterator
from enum import StrEnum
from functools import cache
from pathlib import Path

import pytest
from django.apps import apps
from django.db import models
from django.utils.functional import Promise
from django.utils.translation import override

from koppel.administrations.bulk import BulkReason
from koppel.audit.audit_actions import AuditAction
from koppel.audit.hooks import audit_actions
from koppel.audit.subjects import SubjectKind
from koppel.connections.models import TimelineKind
from koppel.issues.issue_types import IssueCode, issue_types
from koppel.notifications.event_types import EventCode, event_types
from tests.fixtures.environment import KOPPEL as PACKAGE

RECORDED_ELSEWHERE = {
    "DivisionAction.CREATED": "recorded by GroupType through its field `actions`",
    "DivisionAction.CHANGED": "recorded by GroupType through its field `actions`",
    "TemplateAction.CREATED": "recorded by GroupType through its field `actions`",
    "TemplateAction.CHANGED": "recorded by GroupType through its field `actions`",
}
CONVERTED = {
    **{
        f"TimelineKind.{kind}": "made of the audit action of the same name, by timeline_kind"
        for kind in (
            "CONNECTED",
            "RECONNECTED",
            "COMPANY_ADDED",
            "TRANSFER_REQUESTED",
            "TRANSFER_CANCELLED",
            "OWNER_CHANGED",
        )
    },
}
"""Members that no source names, and what they are made of."""
CODE_POSITIONS = {
    "add_audit_entry": slice(1, 3),
    "_add_entry_everywhere": slice(1, 2),
    "_add_link_entry": slice(2, 3),
    "add_actor_entry": slice(1, 2),
    "_record_action": slice(2, 3),
    "record_change": slice(1, 2),
    "record_action": slice(1, 2),
    "raise_issue": slice(1, 2),
    "resolve_issues": slice(2, None),
    "open_event": slice(1, 2),
    "close_event": slice(1, 2),
    "close_event_for": slice(1, 2),
    "notify": slice(1, 2),
    "add_timeline_event": slice(1, 2),
    "start_timeline_event": slice(1, 2),
    "end_timeline_event": slice(1, 2),
    "PlannedChange": slice(0, 1),
    "Subject": slice(0, 1),
    "open_issues": slice(1, 2),
    "count_open": slice(1, 2),
    "resolve_issues_bulk": slice(1, 2),
}
"""Where a function takes a code, by its name."""
CODE_FIELDS = {"kind", "reason", "reason_code", "state", "status", "status_code", "subject_kind"}
"""Fields that hold a member of an enum."""


def modules() -> Iterator[tuple[Path, ast.Module]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        if "migrations" not in path.parts:
            yield path, ast.parse(path.read_text())


@cache
def members_read() -> frozenset[str]:
    """`Class.MEMBER` wherever it is read, but for the declaration of a type."""
    return frozenset(member for _path, code in modules() for member in members_in(code))


def members_in(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Call) and ast.unparse(node.func) in ("IssueType", "EventType"):
        return
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        yield ast.unparse(node)
    for child in ast.iter_child_nodes(node):
        yield from members_in(child)


def apps_enums(base: type[StrEnum]) -> list[type[StrEnum]]:
    """The enums of the apps: not those of tests, nor private ones, which stand for codes that no app
    knows.
    """
    enums = base.__subclasses__()
    return [
        codes
        for codes in enums
        if codes.__module__.startswith("koppel.") and not codes.__name__.startswith("_")
    ]


def is_translated(text: str | Promise) -> bool:
    """Whether a Dutch reader sees other words."""
    words = {}
    for language in ("en", "nl"):
        with override(language):
            words[language] = str(text % Placeholders())
    return words["en"] != words["nl"]


class Placeholders(dict[str, object]):
    """Fills any placeholder; the number of a plural is one."""

    def __missing__(self, key: str) -> object:
        return 1


def test_every_declared_audit_action_is_registered() -> None:
    declared = {
        action
        for path in PACKAGE.glob("*/audit_actions.py")
        for action in importlib.import_module(f"koppel.{path.parent.name}.audit_actions").AUDIT_ACTIONS
    }
    assert declared == set(audit_actions.values())
    assert declared == {member for actions in AuditAction.__subclasses__() for member in actions}


def test_every_audit_action_has_a_label_in_both_languages() -> None:
    assert [action for action in audit_actions.values() if not is_translated(action.label)] == []


def test_every_audit_action_is_recorded_somewhere() -> None:
    unused = {f"{type(action).__name__}.{action.name}" for action in audit_actions.values()} - members_read()
    assert unused == RECORDED_ELSEWHERE.keys()


def test_every_code_of_an_issue_and_an_event_has_a_type() -> None:
    """Under its own code; private enums stand for codes that no app knows."""
    for base, registry in ((IssueCode, issue_types), (EventCode, event_types)):
        declared = {code for codes in apps_enums(base) for code in codes}
        assert {value.code for value in registry.values() if value.code in declared} == declared
        assert all(key == value.code for key, value in registry.items())


def test_kinds_and_reasons_are_translated_and_used() -> None:
    read = members_read()
    for codes in (TimelineKind, *apps_enums(BulkReason)):
        assert [code for code in codes if not is_translated(code.label)] == []
        unread = {f"{codes.__name__}.{code.name}" for code in codes} - read
        assert unread <= CONVERTED.keys(), unread - CONVERTED.keys()


def test_every_text_of_an_issue_and_an_event_is_translated() -> None:
    texts = [
        text
        for issue_type in issue_types.values()
        for text in (issue_type.message, issue_type.advice, issue_type.button)
    ]
    texts += [text for event_type in event_types.values() for text in (event_type.message, event_type.label)]
    assert [text for text in texts if isinstance(text, Promise) and not is_translated(text)] == []


def test_every_code_of_an_issue_and_an_event_is_used_somewhere() -> None:
    enums = [*apps_enums(IssueCode), *apps_enums(EventCode)]
    assert {f"{codes.__name__}.{code.name}" for codes in enums for code in codes} - members_read() == set()


def test_every_kind_of_subject_is_used_somewhere() -> None:
    assert {f"SubjectKind.{kind.name}" for kind in SubjectKind} - members_read() == set()


def test_no_code_is_given_as_a_bare_string() -> None:
    """But for the demo, which reads REST answers of another process, without Django."""
    own_modules = [(path, code) for path, code in modules() if "demo" not in path.parts]
    bare = [f"{path}:{line}" for path, code in own_modules for line in bare_codes(code)]
    assert bare == []


@pytest.mark.parametrize(
    "call",
    [
        'add_audit_entry(1, who, "person.changed")',
        'add_audit_entry(1, who, action=f"person.{kind}")',
        'add_audit_entry(1, who, "a.b" if x else y)',
        'Subject("person", 1)',
        'Issue.objects.filter(subject_kind="connection")',
        'entry.subject_kind == "person"',
        'allocation.reason == "busy"',
        'runs.update(reason_code="stopped", reason="")',
    ],
)
def test_a_bare_code_is_found(call: str) -> None:
    assert list(bare_codes(ast.parse(call))) == [1]


def bare_codes(code: ast.AST) -> Iterator[int]:
    """Lines of calls and comparisons whose code is text."""
    for node in ast.walk(code):
        if (
            isinstance(node, ast.Compare)
            and isinstance(node.left, ast.Attribute)
            and node.left.attr in CODE_FIELDS
        ):
            yield from (node.lineno for value in node.comparators if is_text(value))
        if not isinstance(node, ast.Call):
            continue
        name = ast.unparse(node.func).split(".")[-1]
        if name not in CODE_POSITIONS and name not in ("filter", "exclude", "get", "update", "Q"):
            continue
        positional = node.args[CODE_POSITIONS.get(name, slice(0))]
        named = [
            keyword.value
            for keyword in node.keywords
            if keyword.arg in ("action", "code", "event_type", "reason_code", "status_code", "subject_kind")
        ]
        if any(is_text(argument) for argument in (*positional, *named)):
            yield node.lineno


def is_text(value: ast.expr) -> bool:
    if isinstance(value, ast.IfExp):
        return is_text(value.body) or is_text(value.orelse)
    is_literal = isinstance(value, ast.Constant) and isinstance(value.value, str) and value.value != ""
    return isinstance(value, ast.JoinedStr) or is_literal


def test_no_code_is_taken_out_of_a_text() -> None:
    """A code has a column of its own: a reader compares it, and splits no sentence."""
    columns = {
        field.name
        for model in apps.get_models()
        if model.__module__.startswith("koppel.")
        for field in model._meta.get_fields()
        if isinstance(field, models.CharField | models.TextField)
        and re.search(r"(reason|_code|error|kind|message)$", field.name)
    }
    assert {"invalid_reason", "failure_code", "refusal_message"} <= columns
    names = "|".join(sorted(columns))
    taken_apart = re.compile(
        rf"\.({names})\.(r?partition|split|startswith)\(|\b({names})__startswith|split_part\("
    )
    assert {
        f"{path.relative_to(PACKAGE)}: {match[0]}"
        for path in PACKAGE.rglob("*.py")
        for match in taken_apart.finditer(path.read_text())
    } == set()
