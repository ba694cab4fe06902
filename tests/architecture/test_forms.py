"""A view reads what was sent through a form or through the parameters of its page, and leaves refusals to one
place.
"""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

SOURCES = Path(__file__).parents[2] / "packages" / "koppel" / "src" / "koppel"
RAW = {"POST", "GET", "FILES", "body"}
READERS = ("kit/web/", "api/", "web/auth/", "administrations/list/query.py")
"""What reads requests for all others: forms, parameters, REST, and the handler that shows a refused query."""
WITH_A_REASON = {
    "onboarding/views/guard.py": "an expired flow has a page of its own, which says how to start again",
    "onboarding/services.py": "what is gone is an answer of the step, which leads back to it",
    "books/views.py": "a download that cannot be made leads back to the page that offered it",
    "organisations/invitations/csv_import.py": "each line of a list has a result of its own",
    "organisations/views/single_sign_on.py": "the organisation's activity tells of a refused answer; "
    "it is raised again",
    "administrations/bulk/csv_import.py": "each line of a table has a result of its own",
    "web/auth/middleware.py": "the one handler of pages",
    "cli/commands/refusals.py": "the one handler of commands",
    "sync/engine/stored_rows.py": "rows of an administration that a run reads wait for the next turn",
    "sync/runs/services.py": "each administration of a retry has a result of its own",
    "notifications/sources/operator_alarms.py": "operators are notified after the quarantine",
    "sync/commands.py": "each administration of a command over many has a result of its own",
    "kit/web/forms.py": "the one handler of forms",
    "api/unknown_parameters.py": "collected with the other errors of the request",
    "connections/views/actions.py": "a second click on what is removed leads to the list, which says so",
    "connections/views/consent.py": "the way back from the vendor ends where the person came from, "
    "also when it fails",
    "connections/consent/attempts.py": "stored with the attempt before it goes on",
    "kit/cli/files.py": "the sentence names the file",
    "cli/checks/installation.py": "a database that does not answer is a finding of the check, "
    "beside the others",
    "cli/checks/backups.py": "a time of day that cannot be read is a finding of the check",
    "cli/commands/keys.py": "keys of another installation are what the command checks first: exit code 1",
    "web/auth/replacement_views.py": "a copy that asks is a program: it gets the code as JSON, "
    "of pages that are no part of the REST API",
    "company_registers/numbers/list_import.py": "a list that is no table with quotation marks is read "
    "without them",
    **dict.fromkeys(
        (
            "company_registers/tasks.py",
            "connections/companies/descriptions.py",
            "connections/tasks.py",
            "connections/vault/maintenance.py",
            "connections/vault/token_refresh.py",
            "kit/jobs/outbox.py",
            "kit/quarantine/job_requeue.py",
            "notifications/webhooks/delivery.py",
            "organisations/tasks.py",
            "sync/engine/run_executor.py",
            "sync/engine/run_reader.py",
        ),
        "a job that quarantine stops keeps what it has done and leaves the rest for the end of the "
        "quarantine",
    ),
}
"""Files that catch an error of ours."""


def _is_view(path: Path) -> bool:
    return "views" in path.parts or path.name == "views.py"


def _raw_reads(tree: ast.AST) -> Iterator[int]:
    """Lines that read `request.POST` and its kind elsewhere than as arguments of a form."""
    in_forms = {
        id(part)
        for call in ast.walk(tree)
        if isinstance(call, ast.Call) and ast.unparse(call.func).endswith("Form")
        for argument in (*call.args, *(keyword.value for keyword in call.keywords))
        for part in ast.walk(argument)
    }
    for node in ast.walk(tree):
        is_request = isinstance(node, ast.Attribute) and ast.unparse(node.value).split(".")[-1] == "request"
        if is_request and node.attr in RAW and id(node) not in in_forms:
            yield node.lineno


def _sources() -> Iterator[tuple[str, Path, ast.Module]]:
    for path in sorted(SOURCES.rglob("*.py")):
        name = path.relative_to(SOURCES).as_posix()
        yield name, path, ast.parse(path.read_text())


def test_only_forms_and_parameters_read_requests() -> None:
    raw_reads = {
        name: list(_raw_reads(tree)) for name, _path, tree in _sources() if not name.startswith(READERS)
    }
    assert {name: lines for name, lines in raw_reads.items() if lines} == {}


def test_no_view_parses_what_was_sent() -> None:
    parsed = {}
    for name, path, tree in _sources():
        calls = {ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
        if _is_view(path) and (found_calls := calls & {"json.loads", "QueryDict", "msgspec.json.decode"}):
            parsed[name] = found_calls
    assert parsed == {}


@cache
def _own_errors() -> frozenset[str]:
    """The names of `KoppelError` and all classes that inherit from it, directly or not."""
    bases_by_name = {
        node.name: {ast.unparse(base).rpartition(".")[2] for base in node.bases}
        for _name, _path, tree in _sources()
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
    }
    own_errors: set[str] = set()
    found_errors = {"KoppelError"}
    while found_errors:
        own_errors |= found_errors
        found_errors = {name for name, bases in bases_by_name.items() if bases & own_errors} - own_errors
    return frozenset(own_errors)


def _caught_errors(tree: ast.AST) -> Iterator[str]:
    """Names of the errors that `except` and `suppress` take."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ExceptHandler) and node.type is not None:
            types = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("suppress"):
            types = node.args
        else:
            continue
        yield from (ast.unparse(error).rpartition(".")[2] for error in types)


def _forms() -> Iterator[tuple[str, ast.ClassDef, str]]:
    """Each form with its name and what its docstring and that of its module say."""
    for name, _path, tree in _sources():
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef) and any("Form[" in ast.unparse(base) for base in node.bases):
                text = f"{ast.get_docstring(tree)}\n{ast.get_docstring(node)}"
                yield f"{name}:{node.name}", node, " ".join(text.split())


def _input_type(form: ast.ClassDef) -> str:
    """Return the input type of a form; '' without one."""
    assignments = (node for node in form.body if isinstance(node, ast.Assign))
    return next(
        (ast.unparse(node.value) for node in assignments if ast.unparse(node.targets[0]) == "input_type"),
        "",
    )


def test_a_form_has_an_input_type_or_says_why_not() -> None:
    """A base that leaves the input to its subclasses is generic, and no page shows it."""
    unexplained = [
        name
        for name, form, text in _forms()
        if not _input_type(form)
        and not re.search("No input types?: ", text)
        and not any("InputT]" in ast.unparse(base) for base in form.bases)
    ]
    assert unexplained == []


def test_the_input_type_of_a_form_is_that_of_its_declaration() -> None:
    """mypy reads the one in brackets, `input` makes the other."""
    declared = {
        name: (ast.unparse(form.bases[0]).partition("[")[2].rstrip("]"), _input_type(form))
        for name, form, _text in _forms()
        if _input_type(form)
    }
    assert {name: types for name, types in declared.items() if types[0] != types[1]} == {}


def test_an_input_of_several_interfaces_is_declared_beside_none_of_them() -> None:
    """In `inputs.py`, not in a REST module: a page and a command take it too."""
    used_by_forms = {_input_type(form) for _name, form, _text in _forms()} - {""}
    declared_in = {
        node.name: name
        for name, _path, tree in _sources()
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef) and node.name in used_by_forms
    }
    assert declared_in.keys() == used_by_forms
    assert {key: name for key, name in declared_in.items() if not name.endswith("inputs.py")} == {}


def test_the_errors_that_are_looked_for_are_all_subclasses() -> None:
    assert {
        "KoppelError",
        "Refused",
        "AuthorizationRefused",
        "Quarantined",
        "CheckFailed",
        "WrongKey",
    } <= _own_errors()


def test_refusals_are_handled_in_one_place_per_interface() -> None:
    own_errors = _own_errors()
    handlers = {
        name: errors for name, _path, tree in _sources() if (errors := own_errors & set(_caught_errors(tree)))
    }
    assert {name: errors for name, errors in handlers.items() if name not in WITH_A_REASON} == {}
    assert WITH_A_REASON.keys() - handlers.keys() == set()
