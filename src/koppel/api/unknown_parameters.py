"""What an operation does not declare is refused before it begins, in the one shape of a 422:
`{"error": "invalid", "detail": [{"type", "loc", "msg", …}]}`.

django-ninja by itself ignores unknown query parameters, and a list without its filter is everything.
"""

from collections.abc import Callable, Iterable, Mapping
from functools import wraps
from http import HTTPStatus
from typing import Any, cast

from django.http import HttpRequest, HttpResponseBase
from ninja import NinjaAPI
from ninja.errors import ValidationError, ValidationErrorContext
from ninja.operation import Operation

from koppel.kit.web.parameters import UnknownPart, given_twice, unknown_name

Run = Callable[..., HttpResponseBase]
EMPTY_BODIES = (b"", b"{}", b"null")


class StrictAPI(NinjaAPI):
    """Says of a query parameter also which value was refused. A body's values may be secret and are not repeated."""

    def validation_error_from_error_contexts(
        self, error_contexts: list[ValidationErrorContext[Any]]
    ) -> ValidationError:
        validation_error = super().validation_error_from_error_contexts(error_contexts)
        values = [
            (context.model.__ninja_param_source__, error.get("input"))
            for context in error_contexts
            for error in context.pydantic_validation_error.errors(include_url=False)
        ]
        for error, (source, value) in zip(validation_error.errors, values, strict=True):
            if source == "query" and isinstance(value, str | int | float | bool):
                error["value"] = str(value)
        return validation_error


def refuses_unknown(run: Run) -> Run:
    """A decorator of operations, in ninja's mode `view`."""
    operation = cast("Operation", run.__self__)  # type: ignore[attr-defined]
    declared, repeatable = _declared(operation)
    takes_body = any(model.__ninja_param_source__ in ("body", "form", "file") for model in operation.models)

    @wraps(run)
    def checked(request: HttpRequest, **values: Any) -> HttpResponseBase:
        parts = _unknown(request, declared, repeatable)
        errors = [as_error("query", part) for part in parts]
        if not takes_body and _has_fields(request):
            errors.append({"type": "extra_forbidden", "loc": ["body"], "msg": "This operation takes no body."})
        if errors:
            if request.method == "GET" and (answer := run(request, **values)).status_code == HTTPStatus.FORBIDDEN:
                return answer  # who may not come in learns nothing of what there is
            return operation.api.on_exception(request, ValidationError(errors))
        return run(request, **values)

    return checked


def as_error(source: str, part: UnknownPart) -> dict[str, Any]:
    """As ninja says what is wrong with a parameter. `allowed` are the possible names or values, where they are few."""
    error: dict[str, Any] = {
        "type": "unknown", "loc": [source, part.name], "msg": part.sentence, "value": part.value
    }  # fmt: skip
    return error | ({"allowed": list(part.values)} if part.values else {})


def _declared(operation: Operation) -> tuple[list[str], set[str]]:
    """Names of the query parameters, and those of them that may come several times."""
    names: list[str] = []
    repeatable: set[str] = set()
    for model in operation.models:
        if model.__ninja_param_source__ == "query":
            flattened: Mapping[str, Any] = getattr(model, "__ninja_flatten_map__", {})
            names += flattened
            repeatable |= set(getattr(model, "__ninja_collection_fields__", ()))
    return names, repeatable


def _unknown(request: HttpRequest, declared: list[str], repeatable: set[str]) -> Iterable[UnknownPart]:
    for name, texts in request.GET.lists():
        if name not in declared:
            yield unknown_name(name, str(texts[0]) if texts else "", declared)
        elif len(texts) > 1 and name not in repeatable:
            yield given_twice(name, str(texts[-1]))


def _has_fields(request: HttpRequest) -> bool:
    is_json = request.content_type == "application/json"
    return is_json and request.method in ("POST", "PUT", "PATCH") and request.body.strip() not in EMPTY_BODIES
