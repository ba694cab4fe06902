"""Invitations: asked by mail, accepted once with a link that lapses, sent again or revoked.

The link is signed, not stored: it names the invitation and the mail it went out with, so that only the last
mail's link holds."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.contrib.auth import password_validation
from django.core import signing
from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.urls import reverse
from django.utils import timezone, translation
from django.utils.translation import gettext as _

from koppel.audit.models import ActorKind, Door
from koppel.audit.services import AuditActor, record
from koppel.kit.tenancy import installation_scope, organisation_scope
from koppel.organisations import domains, people
from koppel.organisations.errors import Refused
from koppel.organisations.models import Division, Invitation, Membership, Organisation, User
from koppel.organisations.policy import Actor, Permission, Role
from koppel.organisations.signals import membership_began
from koppel.organisations.tasks import send_invitation

VALID_FOR = timedelta(days=7)
SALT = "koppel.invitation"


@dataclass(frozen=True)
class Wanted:
    """Whom to invite, as what. `language` of the mail and of the person's pages; '' = that of who invites."""

    email: str
    name: str
    role: Role
    divisions: frozenset[int] = frozenset()
    member_until: datetime | None = None
    language: str = ""


def invite(actor: Actor, wanted: Wanted) -> Invitation:
    """Ask somebody by mail. Raises `Refused` with a sentence, also from `check`."""
    email = check(actor, wanted)
    own = Division.objects.filter(organisation_id=actor.organisation_id, pk__in=wanted.divisions)
    one = Invitation(
        organisation_id=actor.organisation_id,
        email=email,
        name=wanted.name.replace("\0", "").strip()[:200],
        role=wanted.role,
        divisions=sorted(own.values_list("pk", flat=True)),
        member_until=wanted.member_until,
        invited_by_id=actor.membership_id or None,
        language=wanted.language or translation.get_language() or settings.LANGUAGE_CODE,
        valid_until=timezone.now() + VALID_FOR,
    )
    try:
        with transaction.atomic():
            one.save()
    except IntegrityError:  # a colleague, or a second click, was a moment earlier
        raise Refused(_("%s is invited already. You can send the invitation again.") % email) from None
    _send(one)
    names = list(own.order_by("name").values_list("name", flat=True))
    _record(actor, one, "person.invited", after={"role": wanted.role, "divisions": names})
    return one


def check(actor: Actor, wanted: Wanted) -> str:
    """The address as it will be stored, when `invite` would accept. Raises `Refused` with what stands in the way."""
    actor.require(Permission.PEOPLE)
    people.refuse_out_of_reach(actor, wanted.role)
    email = people.checked_email(Organisation.objects.get(pk=actor.organisation_id), wanted.email)
    if wanted.member_until is not None and wanted.member_until <= timezone.now():
        raise Refused(_("The day on which access ends lies in the past."))
    there = Membership.objects.filter(organisation_id=actor.organisation_id, user__email__iexact=email).first()
    if there is not None and there.is_live:
        raise Refused(_("%s is a member already.") % email)
    if there is not None:
        raise Refused(_("%s was a member before. Give access again on that person's page.") % email)
    if open_invitations(actor.organisation_id).filter(email__iexact=email).exists():
        raise Refused(_("%s is invited already. You can send the invitation again.") % email)
    return email


def open_invitations(organisation_id: int) -> "QuerySet[Invitation]":
    """Neither accepted nor revoked; those whose link has lapsed too."""
    return Invitation.objects.filter(organisation_id=organisation_id, accepted_at=None, revoked_at=None)


def still_holds(one: Invitation) -> bool:
    """Nobody becomes an Administrator by the word of somebody who is none any more."""
    by = one.invited_by
    return by is None or one.role != Role.ADMINISTRATOR or (by.is_live and by.role == Role.ADMINISTRATOR)


def refusal_of(one: Invitation) -> str:
    """Why the invitation opens nothing just now, to who is invited; '' when it does. It stays, for who sent it to see."""
    if not one.is_outside_domains:
        return ""
    return _(
        "Since you were invited, %(organisation)s has decided to accept addresses of %(domains)s only, and yours is %(email)s. "
        "Ask %(by)s to invite you at such an address."
    ) % {
        "organisation": one.organisation,
        "domains": ", ".join(one.organisation.email_domains),
        "email": one.email,
        "by": one.invited_by.user if one.invited_by else _("whoever runs Koppel"),
    }


def resend(actor: Actor, invitation_id: int) -> Invitation:
    """A new mail and link, by the word of who sends it again; the older link opens nothing any more. Raises `Refused`."""
    one = _open(actor, invitation_id)
    people.refuse_domain(Organisation.objects.get(pk=actor.organisation_id), one.email)
    one.sends += 1
    one.valid_until, one.mail_failed = timezone.now() + VALID_FOR, False
    one.invited_by_id = actor.membership_id or None
    one.save(update_fields=["sends", "valid_until", "mail_failed", "invited_by"])
    _send(one)
    _record(actor, one, "person.invited_again")
    return one


def revoke(actor: Actor, invitation_id: int) -> Invitation:
    """Take the invitation back. Raises `Refused`."""
    one = _open(actor, invitation_id)
    one.revoked_at = timezone.now()
    one.save(update_fields=["revoked_at"])
    _record(actor, one, "person.invitation_revoked")
    return one


def open_invitation(actor: Actor, invitation_id: int) -> Invitation:
    """One that `revoke` would take back. Raises `Refused`."""
    return _open(actor, invitation_id)


def asked_at(one: Invitation) -> datetime:
    """When its last mail was asked for."""
    return one.valid_until - VALID_FOR


def with_links(actor: Actor, found: Iterable[Invitation]) -> list[tuple[Invitation, str]]:
    """Each with its link, to be handed over by who invites, where Koppel sends no mail; '' otherwise.

    Whoever holds a link can choose the password, so it is not shown for a role that the actor cannot give; nor where the
    installation serves other organisations too, to whom the address would seem to be proved."""
    shows = not settings.SENDS_MAIL and domains.is_only_organisation()
    return [(one, link_of(one) if shows and people.may_give(actor, Role(one.role)) else "") for one in found]


def link_of(one: Invitation) -> str:
    token = signing.dumps([one.organisation_id, one.pk, one.sends], salt=SALT)
    return settings.PUBLIC_URL + reverse("invitation", args=[token])


def find(token: str) -> tuple[Invitation, Organisation]:
    """The open invitation that a link belongs to. Raises `Refused` with what to do when the link holds no longer."""
    gone = Refused(_("This link does not work any more. Ask the person who invited you for a new one."))
    try:
        organisation_id, key, sends = signing.loads(token, salt=SALT)
    except (signing.BadSignature, ValueError):
        raise gone from None
    with installation_scope("invitation"):
        own = open_invitations(organisation_id).select_related("invited_by__user", "organisation")
        one = own.filter(pk=key, sends=sends).first()
        if one is None or one.has_lapsed or not still_holds(one):
            raise gone
        return one, one.organisation


def accept(token: str, by: User | None, *, name: str, password: str, from_address: str) -> User:
    """Become a member: as `by`, who has signed in as the invited person by their own proof, or as a new person with this name
    and password.

    Raises `Refused`; `ValidationError` when the password is too weak."""
    found, organisation = find(token)
    with organisation_scope(organisation.pk):
        own = open_invitations(organisation.pk).select_related("invited_by__user", "organisation")
        one = own.select_for_update(of=("self",)).filter(pk=found.pk, sends=found.sends).first()
        if one is None:
            raise Refused(_("This link does not work any more. Ask the person who invited you for a new one."))
        if refusal := refusal_of(one):
            raise Refused(refusal)
        user = by or _new_user(one, name, password)
        if user.email.lower() != one.email.lower():
            raise Refused(_("This invitation is for %s. Sign out first.") % one.email)
        membership = join(one, user, from_address, joined_at=timezone.now())
        if by is not None:
            membership_began.send(Membership, membership=membership)
        return user


def join(one: Invitation, user: User, from_address: str, *, joined_at: datetime | None) -> Membership:
    """The invitation becomes a membership, in the organisation's scope. `joined_at` None: not by an act of the person."""
    access = {"role": one.role, "expires_at": one.member_until, "is_active": True, "joined_at": joined_at}
    access |= {"given_back_at": None}
    made, _new = Membership.objects.update_or_create(organisation_id=one.organisation_id, user=user, defaults=access)
    people.set_divisions(made, one.divisions)
    one.accepted_at = timezone.now()
    one.save(update_fields=["accepted_at"])
    who = AuditActor(ActorKind.PERSON, user.pk, str(user), from_address, Door.SCREEN)
    subject = ("person", made.pk, str(user))
    record(one.organisation_id, who, "person.joined", subject=subject, details={"after": {"role": one.role}})
    return made


def is_known(email: str) -> bool:
    """Whether somebody with this address has an account, so that they sign in instead of choosing a password."""
    return User.objects.filter(email__iexact=email).exists()


def note_mail_failed(organisation_id: int, invitation_id: int, sends: int) -> None:
    with organisation_scope(organisation_id):
        Invitation.objects.filter(pk=invitation_id, sends=sends).update(mail_failed=True)


def _new_user(one: Invitation, name: str, password: str) -> User:
    name = name.replace("\0", "").strip()[:200]
    if is_known(one.email):
        raise Refused(_("You have an account already. Sign in to accept."))
    if not name:
        raise Refused(_("A name is needed."))
    user = User(email=one.email, name=name, language=one.language)
    password_validation.validate_password(password, user)
    user.set_password(password)
    user.save()
    return user


def _open(actor: Actor, invitation_id: int) -> Invitation:
    actor.require(Permission.PEOPLE)
    one = open_invitations(actor.organisation_id).select_for_update().filter(pk=invitation_id).first()
    if one is None:
        raise Refused(_("This invitation is accepted or revoked already."))
    people.refuse_out_of_reach(actor, Role(one.role))
    return one


def _send(one: Invitation) -> None:
    """By a worker, so that five hundred invitations do not wait for the mail server one by one."""
    send_invitation.defer(organisation_id=one.organisation_id, invitation_id=one.pk, sends=one.sends)


def _record(actor: Actor, one: Invitation, act: str, **details: object) -> None:
    subject = ("invitation", one.pk, one.email)
    record(actor.organisation_id, actor.audit, act, subject=subject, details=details)
