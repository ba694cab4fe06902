"""Connects web with the apps below it.

Imported once, by `AppConfig.ready`.
"""

from allauth.account.signals import password_changed, password_set
from allauth.mfa.signals import authenticator_added
from django.contrib.auth.signals import user_logged_in
from django.urls import reverse

from koppel.issues.hooks import issues_url
from koppel.organisations import hooks as organisation_hooks
from koppel.web.auth.second_step import mark_first_code
from koppel.web.auth.session_tracking import end_other_sessions, track_sign_in

user_logged_in.connect(track_sign_in, dispatch_uid="koppel.web.auth.session_tracking")
authenticator_added.connect(mark_first_code, dispatch_uid="koppel.web.auth.second_step")
for changed in (password_changed, password_set):
    changed.connect(end_other_sessions, dispatch_uid="koppel.web.auth.session_tracking.password")


def _activity_url(user_id: int) -> str:
    return f"{reverse('web:activity')}?person={user_id}"


def _issues_url() -> str:
    return reverse("issues:list")


organisation_hooks.activity_url.register(_activity_url)
issues_url.register(_issues_url)
