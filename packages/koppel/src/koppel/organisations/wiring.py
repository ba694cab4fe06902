"""Register the audit actions of organisations, and bind second steps to their accounts.

Imported once, by `AppConfig.ready`.
"""

from typing import Any

from allauth.mfa.models import Authenticator
from django.db.models.signals import pre_save

from koppel.audit.hooks import audit_actions
from koppel.organisations.access import mfa_secrets
from koppel.organisations.audit_actions import AUDIT_ACTIONS

for action in AUDIT_ACTIONS:
    audit_actions.register(action.value, action)


def _bind_second_step(instance: Authenticator, **_more: Any) -> None:
    mfa_secrets.bind_to_account(instance)


pre_save.connect(_bind_second_step, Authenticator, dispatch_uid="koppel.organisations.second_step.bind")
