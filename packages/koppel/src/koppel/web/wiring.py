"""Connect web to the apps below it.

Imported once, by `AppConfig.ready`.
"""

from allauth.account.signals import (
    authentication_step_completed,
    password_changed,
    password_reset,
    password_set,
)
from allauth.mfa import signals as mfa_signals
from django.contrib.auth.signals import user_logged_in
from django.urls import reverse

from koppel.issues.hooks import issues_url
from koppel.organisations import hooks as organisation_hooks
from koppel.web.auth import security_log
from koppel.web.auth.second_step import mark_first_code
from koppel.web.auth.session_tracking import end_other_sessions, record_reauthentication, track_sign_in

user_logged_in.connect(track_sign_in, dispatch_uid="koppel.web.auth.session_tracking")
mfa_signals.authenticator_added.connect(mark_first_code, dispatch_uid="koppel.web.auth.second_step")
authentication_step_completed.connect(
    record_reauthentication, dispatch_uid="koppel.web.auth.session_tracking.reauthentication"
)
for changed in (password_changed, password_set, password_reset):
    changed.connect(end_other_sessions, dispatch_uid="koppel.web.auth.session_tracking.password")
for changed in (password_changed, password_set):
    changed.connect(security_log.on_password_changed, dispatch_uid="koppel.web.auth.security_log")
for signal, receiver in (
    (password_reset, security_log.on_password_reset),
    (mfa_signals.authentication_failed, security_log.on_second_step_failed),
    (mfa_signals.authenticator_added, security_log.on_authenticator_added),
    (mfa_signals.authenticator_removed, security_log.on_authenticator_removed),
    (mfa_signals.authenticator_reset, security_log.on_authenticator_reset),
    (mfa_signals.authenticator_used, security_log.on_authenticator_used),
):
    signal.connect(receiver, dispatch_uid="koppel.web.auth.security_log")


def _activity_url(user_id: int) -> str:
    return f"{reverse('web:activity')}?person={user_id}"


def _issues_url() -> str:
    return reverse("issues:list")


organisation_hooks.activity_url.register(_activity_url)
issues_url.register(_issues_url)
