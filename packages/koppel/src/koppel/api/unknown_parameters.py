"""Refuse undeclared parameters and values before an operation begins, with a 422 of one shape: `{"error":
"invalid", "detail": [{"type", "loc", "msg", …}]}`.

django-ninja itself ignores unknown query parameters, and a list without its filter is everything.
"""

from collections.abc import Callable, Iterable, Mapping
from functools import wraps
from typing import Any, cast

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.utils.translation import gettext_lazy, ngettext
from ninja import NinjaAPI
from ninja.errors import ValidationError, ValidationErrorContext
from ninja.operation import Operation

from koppel.api.parser import DuplicateKeyError, SurrogateError
from koppel.kit.web.parameters import (
    SHOWN_PARTS_MAX,
    UnknownParameter,
    UnknownPart,
    duplicate_parameter,
    first_parts,
    require_bounded,
    shorten,
    unknown_name,
)
from koppel.organisations.errors import NotAllowed

OperationView = Callable[..., HttpResponseBase]
SURROGATE = gettext_lazy("A text has a character that does not exist.")
EMPTY_BODIES = (b"", b"{}", b"null")


class StrictAPI(NinjaAPI):
    """Adds the refused value of a query parameter to errors. Values of a body may be secret and are not
    repeated.
    """

    def on_exception(self, request: HttpRequest, exc: Exception | type[Exception]) -> HttpResponse:
        cause = getattr(exc, "__cause__", None)
        if isinstance(cause, DuplicateKeyError):
            exc = _duplicate_key_error(cause)
        elif isinstance(cause, SurrogateError):
            exc = ValidationError([{"type": "surrogate", "loc": ["body"], "msg": str(SURROGATE)}])
        return super().on_exception(request, exc)

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


def refuse_undeclared_input(operation_view: OperationView) -> OperationView:
    """Decorate an operation to refuse parameters and values that it does not declare. Ninja's mode `view`."""
    operation = cast("Operation", operation_view.__self__)  # type: ignore[attr-defined]
    declared, repeatable = _declared_parameters(operation)
    takes_body = any(model.__ninja_param_source__ in ("body", "form", "file") for model in operation.models)

    @wraps(operation_view)
    def wrapper(request: HttpRequest, **values: Any) -> HttpResponseBase:
        # An actor without the permission must not learn the names of parameters.
        needed = getattr(operation.view_func, "koppel_permission", None)
        if needed and not request.actor.can(needed):  # type: ignore[attr-defined]
            return operation.api.on_exception(request, NotAllowed(needed))
        errors = [to_ninja_error("query", part) for part in _undeclared_parts(request, declared, repeatable)]
        if not takes_body and _has_body(request):
            errors.append(
                {"type": "extra_forbidden", "loc": ["body"], "msg": "This operation takes no body."}
            )
        if errors:
            return operation.api.on_exception(request, ValidationError(errors))
        return operation_view(request, **values)

    return wrapper


def _duplicate_key_error(cause: DuplicateKeyError) -> ValidationError:
    return ValidationError([to_ninja_error("body", duplicate_parameter(cause.key, ""))])


def limit_errors(errors: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the first ten errors, with shortened input, and one that says how many others there are."""
    details = [_shorten_input(error) for error in errors[:SHOWN_PARTS_MAX]]
    more = len(errors) - SHOWN_PARTS_MAX
    if more > 0 and not errors[-1].get("more"):
        message = ngettext("And %(count)d more.", "And %(count)d more.", more) % {"count": more}
        return [*details, {"type": "more", "loc": [], "msg": message, "more": more}]
    return [*details, *map(_shorten_input, errors[SHOWN_PARTS_MAX:])]


def _shorten_input(error: dict[str, Any]) -> dict[str, Any]:
    location = [shorten(part) if isinstance(part, str) else part for part in error["loc"]]
    value = {"value": shorten(error["value"])} if "value" in error else {}
    return error | {"loc": location} | value


def to_ninja_error(source: str, part: UnknownPart) -> dict[str, Any]:
    """Return the part as an error in ninja's form. `allowed` are the possible names or values, if there are
    few.
    """
    if part.more:
        return {"type": "more", "loc": [], "msg": part.message, "more": part.more}
    error: dict[str, Any] = {
        "type": "unknown",
        "loc": [source, part.name],
        "msg": part.message,
        "value": part.value,
    }
    return error | ({"allowed": list(part.values)} if part.values else {})


def _declared_parameters(operation: Operation) -> tuple[list[str], set[str]]:
    """Return the names of the query parameters, and those that may be repeated."""
    names: list[str] = []
    repeatable: set[str] = set()
    for model in operation.models:
        if model.__ninja_param_source__ == "query":
            flattened: Mapping[str, Any] = getattr(model, "__ninja_flatten_map__", {})
            names += flattened
            repeatable |= set(getattr(model, "__ninja_collection_fields__", ()))
    return names, repeatable


def _undeclared_parts(request: HttpRequest, declared: list[str], repeatable: set[str]) -> list[UnknownPart]:
    try:
        require_bounded(request.GET)
    except UnknownParameter as refusal:
        return list(refusal.parts)
    return first_parts(_iterate_undeclared_parts(request, declared, repeatable))


def _iterate_undeclared_parts(
    request: HttpRequest, declared: list[str], repeatable: set[str]
) -> Iterable[UnknownPart]:
    for name, texts in request.GET.lists():
        if name not in declared:
            yield unknown_name(name, str(texts[0]) if texts else "", declared)
        elif len(texts) > 1 and name not in repeatable:
            yield duplicate_parameter(name, str(texts[-1]))


def _has_body(request: HttpRequest) -> bool:
    is_json = request.content_type == "application/json"
    return is_json and request.method in ("POST", "PUT", "PATCH") and request.body.strip() not in EMPTY_BODIES
