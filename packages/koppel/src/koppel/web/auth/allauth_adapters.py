"""Adapters that configure allauth's behaviour."""

import time
from typing import Any

from allauth.account import app_settings as account_settings
from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.internal.flows.login import get_authentication_records
from allauth.core.internal import ratelimit
from allauth.mfa.adapter import DefaultMFAAdapter
from django.core.exceptions import ValidationError
from django.http import HttpRequest

from koppel.kit import quarantine
from koppel.organisations.access.mfa_secrets import decrypt_text, encrypt_text
from koppel.organisations.audit_actions import SignInAction
from koppel.web.auth import login_throttling, security_log


class AccountAdapter(DefaultAccountAdapter):  # type: ignore[misc]
    """Adapter of accounts. People are invited by their organisation; there is no sign-up."""

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        return False

    def send_mail(self, template_prefix: str, email: str, context: dict[str, Any]) -> None:
        """Send an email. Raises `Quarantined`, whether or not a person has this address."""
        quarantine.refuse()
        super().send_mail(template_prefix, email, context)

    def save_user(self, request: HttpRequest, user: Any, form: Any, commit: bool = True) -> Any:
        raise NotImplementedError("People are added by their organisation.")

    def pre_authenticate(self, request: HttpRequest, **credentials: Any) -> None:
        login = credentials.get("email", "").lower()
        try:
            self._throttle(request, login, credentials)
        except ValidationError:
            security_log.record_failure(request, login, SignInAction.THROTTLED)
            raise

    def authentication_failed(self, request: HttpRequest, **credentials: Any) -> None:
        security_log.record_failure(request, credentials.get("email", ""), SignInAction.FAILED)

    def _throttle(self, request: HttpRequest, login: str, credentials: dict[str, Any]) -> None:
        if not login_throttling.is_known_browser(request, login):
            rate = {"other_browsers": login_throttling.OTHER_BROWSERS_RATE}
            if not ratelimit.consume(request, app="koppel", action="other_browsers", config=rate, key=login):
                raise self.validation_error("too_many_login_attempts")
        super().pre_authenticate(request, **credentials)

    def _get_login_attempts_cache_key(self, request: HttpRequest, **credentials: Any) -> str:
        return login_throttling.throttle_key(request, credentials.get("email", "").lower())

    def is_reauthentication_required(self, *, app: str) -> bool:
        """Return False within minutes of a sign-in: a person who sets up a second step has just typed the
        password.
        """
        records = get_authentication_records(self.request, self.request.user)
        just_now = time.time() - account_settings.REAUTHENTICATION_TIMEOUT
        is_fresh = any(record["at"] > just_now for record in records)
        return not is_fresh and bool(super().is_reauthentication_required(app=app))


class MfaAdapter(DefaultMFAAdapter):  # type: ignore[misc]
    """Encrypts the secrets of authenticator apps and recovery codes like every other secret."""

    def encrypt(self, text: str) -> str:
        return encrypt_text(text)

    def decrypt(self, encrypted_text: str) -> str:
        return decrypt_text(encrypted_text)
