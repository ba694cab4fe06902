"""Refuse what an operation does not declare before it begins, with a 422 of one shape: `{"error": "invalid",
"detail": [{"type", "loc", "msg", …}]}`.

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

Run = Callable[..., HttpResponseBase]
SURROGATE = gettext_lazy("A text has a character that does not exist.")
EMPTY_BODIES = (b"", b"{}", b"null")


class StrictAPI(NinjaAPI):
    """Also names the refused value of a query parameter. Values of a body may be secret and are not
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


def refuses_unknown(run: Run) -> Run:
    """Decorate an operation: refuse parameters and values that it does not declare. In ninja's mode
    `view`.
    """
    operation = cast("Operation", run.__self__)  # type: ignore[attr-defined]
    declared, repeatable = _declared_parameters(operation)
    takes_body = any(model.__ninja_param_source__ in ("body", "form", "file") for model in operation.models)

    @wraps(run)
    def wrapper(request: HttpRequest, **values: Any) -> HttpResponseBase:
        # Who may not come in learns nothing of what there is.
        needed = getattr(operation.view_func, "koppel_permission", None)
        if needed and not request.actor.can(needed):  # type: ignore[attr-defined]
            return operation.api.on_exception(request, NotAllowed(needed))
        errors = [as_error("query", part) for part in _unknown_parts_of(request, declared, repeatable)]
        if not takes_body and _has_fields(request):
            errors.append(
                {"type": "extra_forbidden", "loc": ["body"], "msg": "This operation takes no body."}
            )
        if errors:
            return operation.api.on_exception(request, ValidationError(errors))
        return run(request, **values)

    return wrapper


def _duplicate_key_error(cause: DuplicateKeyError) -> ValidationError:
    return ValidationError([as_error("body", duplicate_parameter(cause.key, ""))])


def shown_errors(errors: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the first ten errors, with shortened input; one more says how many others there are."""
    details = [_short(error) for error in errors[:SHOWN_PARTS_MAX]]
    more = len(errors) - SHOWN_PARTS_MAX
    if more > 0 and not errors[-1].get("more"):
        message = ngettext("And %(count)d more.", "And %(count)d more.", more) % {"count": more}
        return [*details, {"type": "more", "loc": [], "msg": message, "more": more}]
    return [*details, *map(_short, errors[SHOWN_PARTS_MAX:])]


def _short(error: dict[str, Any]) -> dict[str, Any]:
    location = [shorten(part) if isinstance(part, str) else part for part in error["loc"]]
    value = {"value": shorten(error["value"])} if "value" in error else {}
    return error | {"loc": location} | value


def as_error(source: str, part: UnknownPart) -> dict[str, Any]:
    """Return an error in ninja's form. `allowed` are the possible names or values, where they are few."""
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


def _unknown_parts_of(request: HttpRequest, declared: list[str], repeatable: set[str]) -> list[UnknownPart]:
    try:
        require_bounded(request.GET)
    except UnknownParameter as refusal:
        return list(refusal.parts)
    return first_parts(_not_declared(request, declared, repeatable))


def _not_declared(request: HttpRequest, declared: list[str], repeatable: set[str]) -> Iterable[UnknownPart]:
    for name, texts in request.GET.lists():
        if name not in declared:
            yield unknown_name(name, str(texts[0]) if texts else "", declared)
        elif len(texts) > 1 and name not in repeatable:
            yield duplicate_parameter(name, str(texts[-1]))


def _has_fields(request: HttpRequest) -> bool:
    is_json = request.content_type == "application/json"
    return is_json and request.method in ("POST", "PUT", "PATCH") and request.body.strip() not in EMPTY_BODIES
