"""HTTP client of the ERP API; translates failures into the contract's errors."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import msgspec
from django.utils.translation import gettext_noop as _

from koppel.connector.contract import Session
from koppel.connector.errors import (
    ConnectorError,
    NotConsented,
    RateLimited,
    SetupMissing,
    UnexpectedResponse,
    Unreachable,
)
from koppel.connector.unreadable_rows import replace_in_thread
from koppel.connectors.visma_net.descriptor import COMPANY_LIST
from koppel.kit.database.text import clean_text, compose
from koppel.kit.http.client import Response
from koppel.kit.http.retry_after import requested_pause

RETRY_SECONDS_DEFAULT = 60.0
PAGE = _("Visma.net answered with a page instead of data. Koppel tries again.")
ERROR = _("Visma.net answers with an error. Koppel tries again.")
PAUSE_REQUESTED = _("Visma.net asked Koppel to wait. The sync continues automatically.")
PAUSE_TOO_LONG = _("Visma.net asked Koppel to wait for more than three days. Koppel tries again after three.")
QUOTA_USED = _("The Visma.net call limit for this company is used up.")
NO_LICENCE = _(
    "Visma.net reports no licence for this company. The user lacks the role “API User”, or "
    "the licence has ended."
)
UNEXPECTED_SHAPE = _("Visma.net answered in an unexpected shape: %(detail)s.")
CALL_REFUSED = _("Visma.net refused a call (%(status)s).")
CALL_REFUSED_BECAUSE = _("Visma.net refused a call (%(status)s): %(answer)s")
FORBIDDEN = _("Visma.net does not allow Koppel to read this. A scope or a role is missing.")


async def get(session: Session, path: str, params: Mapping[str, str] | None = None) -> bytes:
    """Return the body of `GET <api><path>` for the session's company. Raises the contract's errors."""
    if session.consent_mode == COMPANY_LIST:
        url = f"{session.base_urls['legacy']}/API/controller/api{path}"
        company = session.company.routing.get("id", session.company.external_id) if session.company else ""
        headers = {"ipp-application-type": "Visma.net Financials", "ipp-company-id": company}
    else:
        url, headers = f"{session.base_urls['api']}{path}", {}
    return require_success(await session.send("GET", url, params=params, headers=headers))


def require_success(response: Response) -> bytes:
    """Return the body of a 200 response with JSON. Raises the contract's errors for any other."""
    if response.status == 200:
        if not response.headers.get("content-type", "").startswith("application/json"):
            raise Unreachable("not_json", PAGE, retry_after_seconds=30)
        return response.body
    raise _error(response)


async def parse(body: bytes, kind: Any) -> Any:
    """Decode a body of which everything is needed: a text that is not valid JSON (a lone surrogate) is
    repaired, and shown with U+FFFD.

    A truncated body is a network failure; one of another shape is an `UnexpectedResponse`.
    """
    try:
        return _decode(body, kind)
    except msgspec.DecodeError:
        pass
    try:
        return await asyncio.to_thread(_decode_repaired, body, kind)
    except msgspec.ValidationError as error:
        raise _unexpected_shape(error) from None
    except (ValueError, RecursionError):
        raise _truncated() from None


async def parse_rows(body: bytes, kind: Any, *, depth: int = 1) -> Any:
    """Decode a body of records. A row that is no JSON becomes a placeholder, which is rejected like any other
    odd row; `depth` is how many arrays deep the rows are. Raises as `parse` does.
    """
    try:
        return _decode(body, kind)
    except msgspec.DecodeError:
        readable = await replace_in_thread(body, depth)
    if readable is None:
        raise _truncated()
    return _decode(readable, kind)


def _decode(body: bytes, kind: Any) -> Any:
    """Decode the body. Raises `UnexpectedResponse`, and `msgspec.DecodeError` when it is no JSON."""
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError as error:
        raise _unexpected_shape(error) from None
    except (UnicodeDecodeError, RecursionError) as error:
        raise msgspec.DecodeError(str(error)) from None


def _decode_repaired(body: bytes, kind: Any) -> Any:
    return msgspec.convert(_repaired(json.loads(body, strict=False)), kind)


def _repaired(value: Any) -> Any:
    """Return the value with texts that can be stored."""
    if isinstance(value, str):
        return compose(value)
    if isinstance(value, list):
        return [_repaired(item) for item in value]
    if isinstance(value, dict):
        return {compose(key): _repaired(item) for key, item in value.items()}
    return value


def _unexpected_shape(error: Exception) -> UnexpectedResponse:
    return UnexpectedResponse("unexpected_shape", UNEXPECTED_SHAPE, detail=clean_text(str(error), 250))


def _truncated() -> Unreachable:
    return Unreachable("truncated", _("Visma.net's answer was interrupted."), retry_after_seconds=5)


def _error(response: Response) -> ConnectorError:
    status = response.status
    if status == 401:
        return Unreachable(
            "unauthorised", _("Visma.net does not accept the access token."), retry_after_seconds=15
        )
    if status == 429 or status >= 500:
        return _temporary_error(response)
    details = json_object(response.body)
    if details.get("ExceptionFaultCode") == "12027":
        return SetupMissing("no_license", NO_LICENCE)
    if status == 403:
        return NotConsented("forbidden", FORBIDDEN)
    message = clean_text(str(details.get("message") or details.get("ExceptionMessage") or ""), 200)
    code = f"http_{status}"
    if not message:
        return UnexpectedResponse(code, CALL_REFUSED, status=status)
    return UnexpectedResponse(code, CALL_REFUSED_BECAUSE, status=status, answer=message)


def _temporary_error(response: Response) -> ConnectorError:
    """Return the error of a refusal or a server error, with the pause that it asks for."""
    pause, code = requested_pause(response.headers), f"http_{response.status}"
    if response.status == 429:
        sentence = PAUSE_TOO_LONG if pause and pause.is_capped else QUOTA_USED
        return RateLimited("quota", sentence, retry_after_seconds=pause_seconds(response))
    if pause is None:
        return Unreachable(code, ERROR, retry_after_seconds=15)
    sentence = PAUSE_TOO_LONG if pause.is_capped else PAUSE_REQUESTED
    return Unreachable(code, sentence, requested_pause_seconds=pause.seconds)


def json_object(body: bytes) -> dict[str, Any]:
    """Return the JSON object of a response; empty when it has none, as failures can be HTML pages."""
    try:
        document = _decode(body, Any)
    except (msgspec.DecodeError, UnexpectedResponse):
        return {}
    return document if isinstance(document, dict) else {}


def pause_seconds(response: Response) -> float:
    """Return the pause that a refusal asks for; a minute when it does not say."""
    pause = requested_pause(response.headers)
    return pause.seconds if pause else RETRY_SECONDS_DEFAULT
