"""REST under `/api/v1`, described at `/api/v1/openapi.json`, and for people at `/account/api/`.

Each app contributes its router; nothing is decided here. A program sends `Authorization: Bearer koppel_…`, a
member's own token. Errors are `{"error": code}` with 401, 403, 404, 409, 410, 422, 429 or 503. A 422 names
unknown parameters, values and fields in `detail`. Amounts are JSON strings, exact as the source wrote them.
"""

from django.http import HttpRequest, HttpResponse
from ninja.errors import ValidationError

from koppel.administrations.api.bulk import router as bulk
from koppel.administrations.api.detail import router as administration
from koppel.administrations.api.lifecycle import router as administration_lifecycle
from koppel.administrations.api.list import router as administrations
from koppel.administrations.api.settings import router as administration_settings
from koppel.administrations.audit_log.api import router as activity
from koppel.administrations.issues.api import router as issues
from koppel.api.parser import StrictParser
from koppel.api.unknown_parameters import StrictAPI, limit_errors, refuse_undeclared_input, to_ninja_error
from koppel.books.api import router as books
from koppel.connections.api import router as connections
from koppel.kit.errors import KoppelError
from koppel.kit.web.parameters import UnknownParameter
from koppel.notifications.inbox.api import router as notifications
from koppel.notifications.webhooks.api import router as webhooks
from koppel.onboarding.api import router as onboarding
from koppel.organisations.api.email_domains import router as email_domains
from koppel.organisations.api.groups import router as groups
from koppel.organisations.api.people import router as organisations
from koppel.organisations.errors import NotAllowed
from koppel.sync.api import imports as sync_imports
from koppel.sync.api import router as sync

BEARER = {
    "components": {
        "securitySchemes": {"token": {"type": "http", "scheme": "bearer", "bearerFormat": "koppel_…"}}
    },
    "security": [{"token": []}],
}
api = StrictAPI(
    parser=StrictParser(),
    title="Koppel",
    version="1",
    urls_namespace="api",
    docs_url=None,
    openapi_extra=BEARER,
)
api.add_decorator(refuse_undeclared_input, mode="view")
api.add_router("", organisations, tags=["organisation"])
api.add_router("/onboarding", onboarding, tags=["onboarding"])
api.add_router("", groups, tags=["organisation"])
api.add_router("/email-domains", email_domains, tags=["organisation"])
api.add_router("/activity", activity, tags=["organisation"])
api.add_router("/administrations/bulk", bulk, tags=["bulk work"])
api.add_router("/connections", connections, tags=["connections"])
for router in (administrations, administration, administration_settings, administration_lifecycle):
    api.add_router("/administrations", router, tags=["administrations"])
api.add_router("/issues", issues, tags=["issues"])
api.add_router("/administrations", books, tags=["books"])
api.add_router("/administrations", sync, tags=["sync"])
api.add_router("/imports", sync_imports, tags=["sync"])
api.add_router("/notifications", notifications, tags=["notifications"])
api.add_router("/webhooks", webhooks, tags=["webhooks"])


@api.exception_handler(ValidationError)
def handle_validation_error(request: HttpRequest, error: ValidationError) -> HttpResponse:
    """Respond to a request that does not match the description; `detail` names each part."""
    return api.create_response(
        request, {"error": "invalid", "detail": limit_errors(error.errors)}, status=422
    )


@api.exception_handler(UnknownParameter)
def handle_unknown_parameter(request: HttpRequest, error: UnknownParameter) -> HttpResponse:
    """Respond to a filter, or a value of it, that does not exist for the caller."""
    return handle_validation_error(
        request, ValidationError([to_ninja_error(_source(request, part.name), part) for part in error.parts])
    )


def _source(request: HttpRequest, name: str) -> str:
    return "query" if name in request.GET else "body"


@api.exception_handler(KoppelError)
def handle_koppel_error(request: HttpRequest, error: KoppelError) -> HttpResponse:
    """Respond with the code of the error, and in `message` the reason in the caller's language."""
    if isinstance(error, NotAllowed):
        # Recorded when the transaction of the request is over, with which it would be rolled back.
        request.refused_permission = error.permission  # type: ignore[attr-defined]
    response = api.create_response(request, {"error": error.code, **error.details}, status=error.status)
    for name, value in error.headers.items():
        response[name] = value
    return response
