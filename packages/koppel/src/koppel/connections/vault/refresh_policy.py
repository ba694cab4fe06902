"""Decisions about a `GrantSnapshot`: use the token, refresh it, or wait after a failure."""

from datetime import timedelta

from django.utils.translation import gettext_noop

from koppel.connections.models import FailureKind
from koppel.connections.vault.grant_store import GrantSnapshot, RecordedFailure
from koppel.connector.errors import ConnectorError, ConsentLost, RateLimited, SetupMissing, Unreachable
from koppel.kit.backoff import Backoff
from koppel.kit.clock import now
from koppel.kit.encryption import Secret

CALL_SECONDS_MAX = 900
"""How long a refresh waits for the token endpoint's response. The vendor may have used up the refresh token
long before it answers, so that a second try meanwhile costs the consent.
"""
INTENT_SECONDS_MAX = CALL_SECONDS_MAX + 30
"""One call and storing its response. The process of an older intent no longer exists."""
CALLER_SECONDS_MAX = 30
"""How long a caller waits for a refresh, in this or another process; the refresh itself goes on."""
RENEWAL_SLOW = "renewal_slow"
SLOW = gettext_noop("The accounting system is slow to renew access. Koppel continues when it responds.")
SLOW_PAUSE_SECONDS = 15.0
"""How long to wait before asking again for a token whose refresh is slow."""
REFRESH_BACKOFF = Backoff(base_seconds=5.0, cap_seconds=300.0)
REFUSAL_PAUSE = timedelta(seconds=60)
"""How long after a refresh that a refusal caused another refusal causes none: the token is not the reason."""
TOKEN_PAUSE = gettext_noop("The accounting system asked Koppel to wait before the access is renewed.")
TOKEN_REJECTED = gettext_noop("The accounting system rejects the token and has not issued a new one.")


def usable_token(
    grant: GrantSnapshot, refused_token: Secret | None, *, keeping: bool = False
) -> Secret | None:
    """Return the access token; None when it must be refreshed first.

    `keeping`: token maintenance asks, so a grant that is due to be kept alive is refreshed. Raises the stored
    failure while its back-off lasts.
    """
    if keeping and grant.maintain_at is not None and grant.maintain_at <= now():
        return grant.access_token if grant.refresh_allowed_at > now() else None
    is_refused = refused_token is not None and refused_token == grant.access_token
    if not is_refused and grant.due_at > now():
        return grant.access_token
    if grant.retry_at is not None and grant.retry_at > now():
        if grant.is_live() and not is_refused:
            return grant.access_token
        raise recorded_failure(grant, (grant.retry_at - now()).total_seconds())
    if grant.encrypted_refresh_token is None and not is_by_company_id(grant):
        return grant.access_token
    return _after_refusal(grant) if is_refused else None


def _after_refusal(grant: GrantSnapshot) -> Secret | None:
    """Return the token if it was just renewed for a refusal; else None: refresh it.

    Raises `Unreachable` when the vendor does not accept a refresh yet.
    """
    if grant.last_forced_refresh_at is not None and now() - grant.last_forced_refresh_at < REFUSAL_PAUSE:
        return grant.access_token
    if grant.refresh_allowed_at > now():
        seconds = (grant.refresh_allowed_at - now()).total_seconds()
        raise Unreachable("token_refused", TOKEN_REJECTED, retry_after_seconds=seconds)
    return None


def may_get_answer(grant: GrantSnapshot) -> bool:
    """Return whether a refresh begun by a vanished process may still get its answer."""
    if grant.unanswered_seconds is None or grant.refresh_error:
        return False
    return grant.unanswered_seconds < INTENT_SECONDS_MAX


def is_slow(grant: GrantSnapshot) -> bool:
    """Return whether a refresh under way has taken longer than callers wait: then they only check whether it
    is over.
    """
    return not grant.refresh_error and (grant.unanswered_seconds or 0.0) > CALLER_SECONDS_MAX


def token_while_slow(grant: GrantSnapshot, refused_token: Secret | None) -> Secret:
    """Return the old access token while it is valid, else raise `Unreachable`."""
    if grant.is_live() and grant.access_token != refused_token:
        return grant.access_token
    raise Unreachable(RENEWAL_SLOW, SLOW, retry_after_seconds=SLOW_PAUSE_SECONDS)


def token_while_paused(grant: GrantSnapshot, refused_token: Secret | None, seconds: float) -> Secret:
    """Return the old access token while it is valid, else raise `RateLimited`: the token endpoint asked for a
    pause.
    """
    if grant.is_live() and grant.access_token != refused_token:
        return grant.access_token
    raise RateLimited("token_pause", TOKEN_PAUSE, retry_after_seconds=seconds)


def is_by_company_id(grant: GrantSnapshot) -> bool:
    modes = grant.descriptor.consent_modes
    return any(option.key == grant.app.consent_mode and option.is_by_company_id for option in modes)


def recorded_failure(grant: GrantSnapshot, seconds: float) -> ConnectorError:
    """Return the stored failure as an error, without calling the vendor again."""
    code, reason = grant.failure_code, grant.failure_reason
    match grant.failure_kind:
        case FailureKind.CONSENT_LOST:
            return ConsentLost(code, reason)
        case FailureKind.SETUP_MISSING:
            return SetupMissing(code, reason)
        case FailureKind.RATE_LIMITED:
            return RateLimited(code, reason, retry_after_seconds=seconds)
        case _:
            return Unreachable(code or "token_endpoint", reason, requested_pause_seconds=seconds)


def failure_to_record(error: ConnectorError) -> RecordedFailure:
    """Return what is stored of an error, from which `recorded_failure` makes it again."""
    kinds = {
        ConsentLost: FailureKind.CONSENT_LOST,
        SetupMissing: FailureKind.SETUP_MISSING,
        RateLimited: FailureKind.RATE_LIMITED,
    }
    return RecordedFailure(kinds.get(type(error), FailureKind.UNREACHABLE), error.code[:60], error.sentence)


def pause_seconds(error: ConnectorError, failures: int) -> float:
    """Return an exponential back-off with jitter; at least what the vendor asked for."""
    return max(REFRESH_BACKOFF.jittered_seconds(failures), error.requested_pause_seconds)
