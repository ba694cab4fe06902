"""Requests of copies to take the place of this installation.

Only a copy has this installation's id. A backup also has the keys, so a signature would prove nothing: an
operator confirms, with a second step or with the one-time code that the copy's terminal shows.
"""

import hashlib
import secrets
from datetime import timedelta
from http import HTTPStatus

from django.db import connection, transaction
from django.utils import timezone
from django.utils.crypto import constant_time_compare
from django.utils.translation import gettext_lazy as _

from koppel.kit.errors import KoppelError
from koppel.kit.models import InstallationIdentity, ReplacementRequest

VALID = timedelta(minutes=15)
"""For so long an operator may confirm a request."""
SETTLED = timedelta(seconds=5)
"""So long after the confirmation all processes have noticed it, and begin no renewal any more."""
USABLE = timedelta(hours=1)
"""For so long after the confirmation the copy may fetch the tokens."""
ATTEMPTS_MAX = 5
CODE_ALPHABET = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"
CODE_LENGTH = 8


class OtherInstallation(KoppelError):
    """The request does not come from a copy of this installation, or names no request."""

    code = "other_installation"
    status = HTTPStatus.NOT_FOUND


class ReplacementPending(KoppelError):
    """Another request waits for an operator."""

    code = "replacement_pending"
    status = HTTPStatus.CONFLICT

    def __init__(self) -> None:
        super().__init__(_("Another installation has asked already. Wait 15 minutes, or confirm that one."))


def new_code() -> str:
    """Return a one-time code, in two groups."""
    letters = "".join(secrets.choice(CODE_ALPHABET) for _ in range(CODE_LENGTH))
    return f"{letters[:4]}-{letters[4:]}"


def digest(text: str) -> str:
    """Return what is stored of a token or code. A code may be typed in small letters and without the dash."""
    return hashlib.sha256(text.strip().upper().replace("-", "").encode()).hexdigest()


def request_replacement(uid: str, code_digest: str, sender: str, address: str) -> str:
    """Store the request of a copy and return the token for its further questions.

    Raises `OtherInstallation` and `ReplacementPending`.
    """
    identity = InstallationIdentity.objects.get()
    if not constant_time_compare(uid.lower(), str(identity.uid)):
        raise OtherInstallation
    token = secrets.token_hex(32)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("LOCK TABLE kit_replacement_request IN SHARE ROW EXCLUSIVE MODE")
        if pending_request() is not None:
            raise ReplacementPending
        ReplacementRequest.objects.create(
            token_digest=digest(token), code_digest=code_digest, sender=sender, address=address
        )
    return token


def pending_request() -> ReplacementRequest | None:
    """Return the request that an operator may confirm; None without one."""
    return (
        ReplacementRequest.objects.filter(
            confirmed_at=None, attempts__lt=ATTEMPTS_MAX, created_at__gt=timezone.now() - VALID
        )
        .order_by("-pk")
        .first()
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
    pending = pending_request()
    return "waiting" if pending is not None and pending.pk == request.pk else "refused"


def require_confirmed(request: ReplacementRequest) -> None:
    """Require a confirmation of the last hour. Raises `OtherInstallation`."""
    if request.confirmed_at is None or request.confirmed_at < timezone.now() - USABLE:
        raise OtherInstallation


def matches_code(request: ReplacementRequest, code: str) -> bool:
    """Return whether this is the code that the copy's terminal shows."""
    return constant_time_compare(request.code_digest, digest(code))


def count_wrong_code(request: ReplacementRequest) -> None:
    """Count a wrong code; after `ATTEMPTS_MAX` the request is refused."""
    request.attempts += 1
    request.save(update_fields=["attempts"])


def confirm(request: ReplacementRequest, by: str) -> None:
    """Mark the request as confirmed."""
    request.confirmed_at, request.confirmed_by = timezone.now(), by
    request.save(update_fields=["confirmed_at", "confirmed_by"])
