"""Requests of copies to take the place of this installation.

Only a copy has this installation's id. A backup also has the keys, so a signature would prove nothing: an
operator confirms with the one-time code that the terminal of the copy shows. Several copies may ask at the
same time: the code says which of them the operator has started.
"""

import hashlib
import secrets
from collections.abc import Iterable
from datetime import timedelta
from http import HTTPStatus

from django.db import connection, transaction
from django.db.models import F
from django.utils import timezone
from django.utils.crypto import constant_time_compare

from koppel.kit.errors import KoppelError
from koppel.kit.models import InstallationIdentity, ReplacementRequest

VALID = timedelta(minutes=15)
"""For so long an operator may confirm a request."""
SETTLED = timedelta(seconds=5)
"""So long after the confirmation all processes have noticed it, and begin no renewal any more."""
USABLE = timedelta(hours=1)
"""For so long after the confirmation the copy may fetch the tokens."""
ATTEMPTS_MAX = 5
PENDING_PER_ADDRESS_MAX = 3
"""Requests of one address that wait at the same time; a further one takes the place of its oldest."""
CODE_ALPHABET = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"
CODE_LENGTH = 8


class OtherInstallation(KoppelError):
    """The request does not come from a copy of this installation, or names no request."""

    code = "other_installation"
    status = HTTPStatus.NOT_FOUND


def new_code() -> str:
    """Return a one-time code, in two groups."""
    letters = "".join(secrets.choice(CODE_ALPHABET) for _ in range(CODE_LENGTH))
    return f"{letters[:4]}-{letters[4:]}"


def digest(text: str) -> str:
    """Return what is stored of a token or code. A code may be typed in small letters and without the dash."""
    return hashlib.sha256(text.strip().upper().replace("-", "").encode()).hexdigest()


def request_replacement(uid: str, code_digest: str, sender: str, address: str) -> str:
    """Store the request of a copy and return the token for its further questions.

    Raises `OtherInstallation`.
    """
    identity = InstallationIdentity.objects.get()
    if not constant_time_compare(uid.lower(), str(identity.uid)):
        raise OtherInstallation
    token = secrets.token_hex(32)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("LOCK TABLE kit_replacement_request IN SHARE ROW EXCLUSIVE MODE")
        pending = [request.pk for request in pending_requests() if request.address == address]
        ReplacementRequest.objects.filter(pk__in=pending[PENDING_PER_ADDRESS_MAX - 1 :]).delete()
        ReplacementRequest.objects.create(
            token_digest=digest(token), code_digest=code_digest, sender=sender, address=address
        )
    return token


def pending_requests() -> list[ReplacementRequest]:
    """Return the requests that an operator may confirm, newest first."""
    return list(
        ReplacementRequest.objects.filter(
            confirmed_at=None, attempts__lt=ATTEMPTS_MAX, created_at__gt=timezone.now() - VALID
        ).order_by("-pk")
    )


def request_of(token: str) -> ReplacementRequest:
    """Return the request of a token. Raises `OtherInstallation`."""
    request = ReplacementRequest.objects.filter(token_digest=digest(token)).first()
    if request is None:
        raise OtherInstallation
    return request


def state_of(request: ReplacementRequest) -> str:
    """Return `waiting`, `stopping`, `confirmed`, or `refused`: too late, or too many wrong codes."""
    if request.confirmed_at is not None:
        return "confirmed" if request.confirmed_at < timezone.now() - SETTLED else "stopping"
    return "waiting" if request in pending_requests() else "refused"


def require_confirmed(request: ReplacementRequest) -> None:
    """Require a confirmation of the last hour. Raises `OtherInstallation`."""
    if request.confirmed_at is None or request.confirmed_at < timezone.now() - USABLE:
        raise OtherInstallation


def find_by_code(requests: Iterable[ReplacementRequest], code: str) -> ReplacementRequest | None:
    """Return the request of the copy whose terminal shows this code; None for a wrong code."""
    code_digest = digest(code)
    matches = [request for request in requests if constant_time_compare(request.code_digest, code_digest)]
    return matches[-1] if matches else None


def count_wrong_code(requests: Iterable[ReplacementRequest]) -> None:
    """Count a wrong code; after `ATTEMPTS_MAX` the requests are refused."""
    ids = [request.pk for request in requests]
    ReplacementRequest.objects.filter(pk__in=ids).update(attempts=F("attempts") + 1)


def confirm(request: ReplacementRequest, by: str) -> None:
    """Mark the request as confirmed."""
    request.confirmed_at, request.confirmed_by = timezone.now(), by
    request.save(update_fields=["confirmed_at", "confirmed_by"])
