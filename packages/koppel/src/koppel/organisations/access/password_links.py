"""Links to choose a new password, each valid once."""

from allauth.account.forms import EmailAwarePasswordResetTokenGenerator
from allauth.account.utils import user_pk_to_url_str
from django.conf import settings
from django.urls import reverse

from koppel.organisations.models import User


def password_link(user: User) -> str:
    """Return a link at the public address, whatever address a request came to."""
    key = EmailAwarePasswordResetTokenGenerator().make_token(user)
    path = reverse("account_reset_password_from_key", args=[user_pk_to_url_str(user), key])
    return settings.PUBLIC_URL + path
