"""Use cases of the firm: who acts, people, divisions, templates."""

from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.models import AnonymousUser
from django.db.models import Q
from django.utils import timezone

from koppel.kit.tenancy import installation_scope
from koppel.organisations.models import Membership, User
from koppel.organisations.policy import Actor, Role


def actor_of(user: AbstractBaseUser | AnonymousUser, organisation_id: int | None, from_address: str) -> Actor | None:
    """Who this user is in the organisation chosen in the session, else in the first one. None: a member of none."""
    with installation_scope("sign-in"):
        live = Membership.objects.filter(Q(expires_at=None) | Q(expires_at__gt=timezone.now()), is_active=True)
        found = list(live.filter(user_id=user.pk or 0).order_by("organisation_id").select_related("user"))
    chosen = next((one for one in found if one.organisation_id == organisation_id), found[0] if found else None)
    if chosen is None:
        return None
    return Actor(
        organisation_id=chosen.organisation_id,
        membership_id=chosen.pk,
        user_id=chosen.user_id,
        name=str(chosen.user),
        role=Role(chosen.role),
        from_address=from_address,
    )


def remember_language(user_id: int, language: str) -> None:
    User.objects.filter(pk=user_id).update(language=language)
