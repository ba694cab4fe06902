"""A view reads what was sent through a form or through the parameters of its page, and leaves refusals to one place."""

import ast
from collections.abc import Iterator
from pathlib import Path

SOURCES = Path(__file__).parents[2] / "packages" / "koppel" / "src" / "koppel"
RAW = {"POST", "GET", "FILES", "body"}
READERS = ("kit/web/", "api/", "web/auth/", "administrations/list/query.py")
"""What reads requests for all others: forms, parameters, REST, and the handler that shows a refused query."""
OWN_ERRORS = {
    "KoppelError", "NotFoundError", "NotAllowed", "Refused", "NoSuchGroup", "NoSuchAdministration", "NoSuchWebhook",
    "NoSuchFlow", "NoSuchConnection", "ConsentRefused", "RegistrationRefused", "FlowExpired", "StepNotReached", "UnknownSystem",
    "UnknownResource", "UnknownParameter", "SyncNotAllowed", "ReaderRefused", "TooManyRows",
}  # fmt: skip
WITH_A_REASON = {
    "onboarding/views/guard.py": "an expired flow has a page of its own, which says how to start again",
    "onboarding/services.py": "what is gone is an answer of the step, which leads back to it",
    "books/views.py": "a download that cannot be made leads back to the page that offered it",
    "organisations/invitations/csv_import.py": "each line of a list has a result of its own",
    "organisations/views/invitations.py": "whoever holds a link without use has no page to be led back to",
    "organisations/views/single_sign_on.py": "nobody is signed in yet, and the organisation's activity tells of it",
    "administrations/bulk/csv_import.py": "each line of a table has a result of its own",
    "web/auth/middleware.py": "the one handler of pages",
    "kit/cli/errors.py": "the one handler of commands",
    "kit/web/forms.py": "the one handler of forms",
    "api/unknown_parameters.py": "collected with the other errors of the request",
    "connections/views/actions.py": "a second click on what is removed leads to the list, which says so",
    "connections/views/consent.py": "the way back from the vendor ends where the person came from, also when it fails",
    "connections/consent/attempts.py": "stored with the attempt before it goes on",
}


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


def test_nobody_reads_a_request_beside_forms_and_parameters() -> None:
    raw_reads = {name: list(_raw_reads(tree)) for name, _path, tree in _sources() if not name.startswith(READERS)}
    assert {name: lines for name, lines in raw_reads.items() if lines} == {}


def test_no_view_parses_what_was_sent() -> None:
    parsed = {}
    for name, path, tree in _sources():
        calls = {ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
        if _is_view(path) and (found_calls := calls & {"json.loads", "QueryDict", "msgspec.json.decode"}):
            parsed[name] = found_calls
    assert parsed == {}


def test_refusals_are_handled_in_one_place_per_interface() -> None:
    handlers = {}
    for name, _path, tree in _sources():
        caught = {
            part
            for node in ast.walk(tree)
            if isinstance(node, ast.ExceptHandler) and node.type is not None
            for part in ast.unparse(node.type).strip("()").split(", ")
        }
        if name not in WITH_A_REASON and caught & OWN_ERRORS:
            handlers[name] = caught & OWN_ERRORS
    assert handlers == {}
