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
from koppel.administrations.errors import NotFound
from koppel.api.parser import StrictParser
from koppel.api.unknown_parameters import StrictAPI, as_error, refuses_unknown, shown_errors
from koppel.books.api import router as books
from koppel.books.errors import UnknownResource
from koppel.connections.api import router as connections
from koppel.connections.errors import ConsentRefused, NoSuchConnection
from koppel.kit.quarantine import Quarantined
from koppel.kit.web.parameters import UnknownParameter
from koppel.notifications.errors import NoSuchWebhook
from koppel.notifications.inbox.api import router as notices
from koppel.notifications.webhooks.api import router as webhooks
from koppel.onboarding.api import router as onboarding
from koppel.onboarding.errors import FlowExpired, NoSuchFlow, StepNotReached, UnknownSystem
from koppel.organisations.api.groups import router as groups
from koppel.organisations.api.people import router as organisations
from koppel.organisations.errors import NotAllowed, Refused
from koppel.sync.api import imports as sync_imports
from koppel.sync.api import router as sync
from koppel.sync.errors import SyncNotAllowed

BEARER = {
    "components": {"securitySchemes": {"token": {"type": "http", "scheme": "bearer", "bearerFormat": "koppel_…"}}},
    "security": [{"token": []}],
}
api = StrictAPI(
    parser=StrictParser(), title="Koppel", version="1", urls_namespace="api", docs_url=None, openapi_extra=BEARER
)
api.add_decorator(refuses_unknown, mode="view")
api.add_router("", organisations, tags=["organisation"])
api.add_router("/onboarding", onboarding, tags=["onboarding"])
api.add_router("", groups, tags=["organisation"])
api.add_router("/activity", activity, tags=["organisation"])
api.add_router("/administrations/bulk", bulk, tags=["bulk work"])
api.add_router("/connections", connections, tags=["connections"])
for router in (administrations, administration, administration_settings, administration_lifecycle):
    api.add_router("/administrations", router, tags=["administrations"])
api.add_router("/administrations", books, tags=["books"])
api.add_router("/administrations", sync, tags=["sync"])
api.add_router("/imports", sync_imports, tags=["sync"])
api.add_router("/notices", notices, tags=["notices"])
api.add_router("/webhooks", webhooks, tags=["webhooks"])


@api.exception_handler(NotFound)
def not_found_response(request: HttpRequest, error: NotFound) -> HttpResponse:
    details = {"message": str(error)} if str(error) else {}
    return api.create_response(request, {"error": "not_found", **details}, status=404)


@api.exception_handler(ValidationError)
def invalid(request: HttpRequest, error: ValidationError) -> HttpResponse:
    """The request does not match the description; `detail` names each part."""
    return api.create_response(request, {"error": "invalid", "detail": shown_errors(error.errors)}, status=422)


@api.exception_handler(UnknownParameter)
def unknown_parameter(request: HttpRequest, error: UnknownParameter) -> HttpResponse:
    """A filter, or a value of one, does not exist, or not for the caller."""
    return invalid(request, ValidationError([as_error(_source(request, part.name), part) for part in error.parts]))


def _source(request: HttpRequest, name: str) -> str:
    return "query" if name in request.GET else "body"


@api.exception_handler(NotAllowed)
def not_allowed(request: HttpRequest, error: NotAllowed) -> HttpResponse:
    return api.create_response(request, {"error": "not_allowed", "permission": error.permission}, status=403)


@api.exception_handler(UnknownResource)
def unknown_resource(request: HttpRequest, error: UnknownResource) -> HttpResponse:
    return api.create_response(request, {"error": "unknown_resource"}, status=404)


@api.exception_handler(Refused)
def refusal_response(request: HttpRequest, error: Refused) -> HttpResponse:
    """A rule forbids the request; `message` says why, in the caller's language."""
    return api.create_response(request, {"error": "refused", "message": str(error)}, status=409)


@api.exception_handler(SyncNotAllowed)
def sync_not_allowed(request: HttpRequest, error: SyncNotAllowed) -> HttpResponse:
    """A sync cannot begin now; `message` says why, in the caller's language."""
    return api.create_response(request, {"error": "not_possible", "message": str(error)}, status=409)


@api.exception_handler(ConsentRefused)
def consent_refused(request: HttpRequest, error: ConsentRefused) -> HttpResponse:
    """A sign-in at the accounting system cannot begin; `message` says why, in the caller's language."""
    return api.create_response(request, {"error": error.code, "message": str(error)}, status=409)


@api.exception_handler(Quarantined)
def quarantined(request: HttpRequest, error: Quarantined) -> HttpResponse:
    """Nothing leaves this installation at the moment; `message` says who can end that, in the caller's
    language.
    """
    return api.create_response(request, {"error": error.code, "message": str(error)}, status=503)


@api.exception_handler(NoSuchConnection)
@api.exception_handler(NoSuchFlow)
@api.exception_handler(NoSuchWebhook)
def nothing_there(request: HttpRequest, error: Exception) -> HttpResponse:
    return api.create_response(request, {"error": "not_found"}, status=404)


@api.exception_handler(UnknownSystem)
def unknown_system(request: HttpRequest, error: UnknownSystem) -> HttpResponse:
    return api.create_response(request, {"error": "unknown_system"}, status=404)


@api.exception_handler(FlowExpired)
def flow_expired(request: HttpRequest, error: FlowExpired) -> HttpResponse:
    """The flow has expired; a new one must be begun."""
    return api.create_response(request, {"error": "expired"}, status=410)


@api.exception_handler(StepNotReached)
def not_reached(request: HttpRequest, error: StepNotReached) -> HttpResponse:
    return api.create_response(request, {"error": "not_reached"}, status=409)
