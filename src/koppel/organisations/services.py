"""Use cases of the firm: people, divisions, templates."""

from collections.abc import Iterable, Mapping
from typing import Any

from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.utils import timezone
from django.utils.translation import gettext as _

from koppel.audit.services import record
from koppel.organisations.bundles import refuse_problems
from koppel.organisations.errors import Refused
from koppel.organisations.models import Division, DivisionMember, Membership, Organisation, Template, User
from koppel.organisations.policy import Actor, Permission, Role


def remember_language(user_id: int, language: str) -> None:
    User.objects.filter(pk=user_id).update(language=language)


def add_person(actor: Actor, *, email: str, name: str, role: Role) -> tuple[Membership, bool]:
    """Make somebody a member. The membership, and whether the person is new to Koppel and must choose a password.

    Raises `Refused` with a sentence."""
    actor.require(Permission.PEOPLE)
    if role == Role.ADMINISTRATOR and actor.role != Role.ADMINISTRATOR:
        raise Refused(_("Only an Administrator can make an Administrator."))
    try:
        validate_email(email)
    except ValidationError:
        raise Refused(_("“%s” is not an e-mail address.") % email) from None
    email = User.objects.normalize_email(email.strip())
    user = User.objects.filter(email__iexact=email).first()
    is_new = user is None
    user = user or User.objects.create_user(email, None, name=_clean(name)[:200] or email)
    membership, made = Membership.objects.get_or_create(
        organisation_id=actor.organisation_id, user=user, defaults={"role": role}
    )
    if not made:
        raise Refused(_("%s is a member already.") % email)
    _record(actor, "person.added", "membership", membership.pk, email, {"role": role})
    return membership, is_new


def change_person(actor: Actor, membership_id: int, *, role: Role, is_active: bool) -> None:
    """Role, and whether the person may still sign in here. The last Administrator stays. Raises `Refused`."""
    actor.require(Permission.PEOPLE)
    own = Membership.objects.select_for_update().filter(organisation_id=actor.organisation_id)
    membership = own.filter(pk=membership_id).first()
    if membership is None:
        raise Refused(_("This person is not a member of your organisation."))
    touches_administrator = Role.ADMINISTRATOR in (role, membership.role)
    if touches_administrator and actor.role != Role.ADMINISTRATOR:
        raise Refused(_("Only an Administrator can change an Administrator."))
    stops = membership.role == Role.ADMINISTRATOR and (role != Role.ADMINISTRATOR or not is_active)
    if stops and not own.filter(role=Role.ADMINISTRATOR, is_active=True).exclude(pk=membership_id).exists():
        raise Refused(_("This is the last Administrator. Make somebody else an Administrator first."))
    before = {"role": membership.role, "is_active": membership.is_active}
    membership.role, membership.is_active = role, is_active
    membership.save(update_fields=["role", "is_active"])
    _record(actor, "person.changed", "membership", membership.pk, str(membership.user), {"before": before})


def set_divisions(actor: Actor, membership_id: int, division_ids: Iterable[int]) -> None:
    """The divisions of a person, all of them."""
    actor.require(Permission.PEOPLE)
    own = {"organisation_id": actor.organisation_id}
    wanted = set(Division.objects.filter(**own, pk__in=list(division_ids)).values_list("pk", flat=True))
    if not Membership.objects.filter(**own, pk=membership_id).exists():
        raise Refused(_("This person is not a member of your organisation."))
    DivisionMember.objects.filter(**own, membership_id=membership_id).exclude(division_id__in=wanted).delete()
    DivisionMember.objects.bulk_create(
        [DivisionMember(**own, membership_id=membership_id, division_id=one) for one in wanted], ignore_conflicts=True
    )


def save_division(actor: Actor, division_id: int | None, name: str, *, archived: bool = False) -> None:
    """Make, rename or archive a division. Raises `Refused`."""
    actor.require(Permission.PEOPLE)
    _save_named(actor, Division, division_id, name, archived, {})


def save_template(
    actor: Actor, template_id: int | None, name: str, settings: Mapping[str, Any], *, archived: bool = False
) -> None:
    """Make, change or archive a template. Raises `Refused`."""
    actor.require(Permission.PEOPLE)
    refuse_problems(settings)
    _save_named(actor, Template, template_id, name, archived, {"settings": dict(settings)})


def change_organisation(actor: Actor, *, name: str, settings: Mapping[str, Any]) -> None:
    """Its name, and the settings beneath every template. Raises `Refused`."""
    actor.require(Permission.ORGANISATION)
    refuse_problems(settings)
    name = _clean(name)[:200]
    if not name:
        raise Refused(_("A name is needed."))
    organisation = Organisation.objects.select_for_update().get(pk=actor.organisation_id)
    before = {"name": organisation.name, "settings": organisation.settings}
    after = {"name": name, "settings": dict(settings)}
    organisation.name, organisation.settings = name, dict(settings)
    organisation.save(update_fields=["name", "settings"])
    details = {"before": before, "after": after}
    _record(actor, "organisation.changed", "organisation", actor.organisation_id, name, details)


def _clean(text: str) -> str:
    """Without the one character that PostgreSQL cannot store."""
    return text.replace("\0", "").strip()


def _save_named(
    actor: Actor,
    kind: type[Division] | type[Template],
    key: int | None,
    name: str,
    archived: bool,
    values: dict[str, Any],
) -> None:
    name = _clean(name)[:120]
    own = kind._default_manager.filter(organisation_id=actor.organisation_id)
    if not name:
        raise Refused(_("A name is needed."))
    if own.filter(name__iexact=name).exclude(pk=key or 0).exists():
        raise Refused(_("“%s” exists already.") % name)
    values = {**values, "name": name, "archived_at": timezone.now() if archived else None}
    if key is None:
        made = kind._default_manager.create(organisation_id=actor.organisation_id, **values)
        _record(actor, f"{kind.__name__.lower()}.made", kind.__name__.lower(), made.pk, name, {})
    else:
        own.filter(pk=key).update(**values)
        _record(actor, f"{kind.__name__.lower()}.changed", kind.__name__.lower(), key, name, {"archived": archived})


def _record(actor: Actor, act: str, kind: str, key: int, name: str, details: dict[str, Any]) -> None:
    record(actor.organisation_id, actor.audit, act, subject=(kind, key, name), details=details)
