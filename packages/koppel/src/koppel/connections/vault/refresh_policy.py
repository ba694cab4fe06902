"""When a token is used, when it is renewed, and how long not to ask again: decisions over a grant as it was read."""

import random
from datetime import timedelta

from django.utils.translation import gettext_noop

from koppel.connections.vault.grant_store import GrantSnapshot
from koppel.connector.errors import ConnectorError, ConsentLost, RateLimited, SetupMissing, Unreachable
from koppel.kit.clock import now
from koppel.kit.encryption import Secret

CALL_SECONDS_MAX = 900
"""How long the answer of a token endpoint is waited for while the connection stands. The vendor may have used up the refresh
token long before it answers, so that a second try meanwhile costs the consent."""
INTENT_SECONDS_MAX = CALL_SECONDS_MAX + 30
"""One call and the storing of its answer. An intent that is older belongs to nobody who still lives."""
CALLER_SECONDS_MAX = 30
"""How long who needs a token waits for its renewal, here or in another process; the renewal itself goes on."""
RENEWAL_SLOW = "renewal_slow"
SLOW = gettext_noop(
    "The accounting system is slow to renew the access; Koppel waits for its answer and goes on by itself."
)
SLOW_PAUSE_SECONDS = 15.0
"""When to ask again for a token whose renewal is slow."""
BACK_OFF_SECONDS, BACK_OFF_SECONDS_MAX = 5.0, 300.0
REFUSAL_PAUSE = timedelta(seconds=60)
"""A token that was renewed because the vendor refused it and is refused again: then the token is not the reason."""
REFUSED_FOR_NOW = gettext_noop("The accounting system refuses the token and does not give another one yet.")


def usable_token(grant: GrantSnapshot, refused: Secret | None, *, keeping: bool = False) -> Secret | None:
    """A token that need not be renewed now; None when it should. Raises what is known to stand in the way."""
    if keeping and grant.maintain_at is not None and grant.maintain_at <= now():
        return grant.access_token if grant.allowed_at > now() else None
    is_refused = refused is not None and refused == grant.access_token
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
    """The vendor refused a token that should live: renew it, unless that was tried a moment ago or is not allowed yet."""
    if grant.last_forced_refresh_at is not None and now() - grant.last_forced_refresh_at < REFUSAL_PAUSE:
        return grant.access_token
    if grant.allowed_at > now():
        seconds = (grant.allowed_at - now()).total_seconds()
        raise Unreachable("token_refused", REFUSED_FOR_NOW, retry_after_seconds=seconds)
    return None


def may_still_be_in_flight(grant: GrantSnapshot) -> bool:
    """An intent whose process seems to be gone, but so young that its call may still be under way."""
    if grant.unanswered_seconds is None or grant.refresh_error:
        return False
    return grant.unanswered_seconds < INTENT_SECONDS_MAX


def is_slow(held: GrantSnapshot) -> bool:
    """A renewal under way that took longer than anybody waits for it: whoever asks now only looks whether it is over."""
    return not held.refresh_error and (held.unanswered_seconds or 0.0) > CALLER_SECONDS_MAX


def while_slow(held: GrantSnapshot, refused: Secret | None) -> Secret:
    """The old access token while it lives. Raises `Unreachable` when there is none to go on with."""
    if held.is_live() and held.access_token != refused:
        return held.access_token
    raise Unreachable(RENEWAL_SLOW, SLOW, retry_after_seconds=SLOW_PAUSE_SECONDS)


def is_by_company_id(grant: GrantSnapshot) -> bool:
    modes = grant.descriptor.consent_modes
    return any(option.key == grant.app.consent_mode and option.by_company_id for option in modes)


def recorded_failure(grant: GrantSnapshot, seconds: float) -> ConnectorError:
    """The failure that was written down, without asking again."""
    kind, _, code = grant.failure_code.partition(":")
    if kind == ConsentLost.__name__:
        return ConsentLost(code, grant.failure_reason)
    if kind == SetupMissing.__name__:
        return SetupMissing(code, grant.failure_reason)
    return Unreachable(code or "token_endpoint", grant.failure_reason, retry_after_seconds=seconds)


def pause_seconds(error: ConnectorError, failures: int) -> float:
    """Exponential, spread; at least what a vendor asks for that limits us."""
    pause: float = min(BACK_OFF_SECONDS * 2 ** min(failures, 10), BACK_OFF_SECONDS_MAX)
    pause *= random.uniform(0.8, 1.2)  # noqa: S311 - jitter
    return max(pause, error.retry_after_seconds) if isinstance(error, RateLimited) else pause
