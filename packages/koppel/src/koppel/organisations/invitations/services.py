"""Invitations: sent by email, accepted once with a link that expires, sent again or revoked.

The link is signed, not stored: it names the invitation and the email that carried it, so that only the last
email's link is valid.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta

from django.conf import settings
from django.contrib.auth import password_validation
from django.core import signing
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.urls import reverse
from django.utils import timezone, translation
from django.utils.translation import gettext as _

from koppel.audit.models import ActorKind, Interface
from koppel.audit.services import AuditActor, add_actor_entry, add_audit_entry
from koppel.audit.subjects import Subject, SubjectKind
from koppel.kit.database.text import clean_text
from koppel.kit.jobs import enqueue
from koppel.kit.tenancy import installation_scope, organisation_scope
from koppel.organisations.access import domain_owners
from koppel.organisations.audit_actions import PersonAction
from koppel.organisations.errors import Refused
from koppel.organisations.hooks import membership_began
from koppel.organisations.invitations.inputs import InvitationInput
from koppel.organisations.invitations.throttling import require_may_send
from koppel.organisations.models import Division, Invitation, Membership, Organisation, User
from koppel.organisations.people import services as people_services
from koppel.organisations.roles import Actor, Permission, Role

VALID_FOR = timedelta(days=7)
SALT = "koppel.invitation"


def invite(actor: Actor, data: InvitationInput, *, language: str = "") -> Invitation:
    """Invite a person by mail. Raises `Refused` with a sentence, also from `validate_invitation`.

    `language` of the email and the person's pages; '' = the sender's.
    """
    email = validate_invitation(actor, data)
    require_may_send(actor.organisation_id, email)
    divisions = Division.objects.for_actor(actor).filter(pk__in=data.divisions)
    invitation = Invitation(
        organisation_id=actor.organisation_id,
        email=email,
        name=clean_text(data.name),
        role=data.role,
        divisions=sorted(divisions.values_list("pk", flat=True)),
        member_until=data.until,
        invited_by_id=actor.membership_id or None,
        language=language or translation.get_language() or settings.LANGUAGE_CODE,
        valid_until=timezone.now() + VALID_FOR,
    )
    try:
        with transaction.atomic():
            invitation.save()
    except IntegrityError:  # a colleague, or a second click, was a moment earlier
        raise Refused(
            _("%s is already invited. You can resend the invitation.") % email, field="email"
        ) from None
    _send(invitation)
    names = list(divisions.order_by("name").values_list("name", flat=True))
    after = {"role": data.role, "divisions": names}
    add_actor_entry(actor, PersonAction.INVITED, _subject(invitation), after=after)
    return invitation


def validate_invitation(actor: Actor, data: InvitationInput) -> str:
    """Return the address as it will be stored. Raises `Refused` with the reason when `invite` would
    refuse.
    """
    actor.require(Permission.MANAGE_PEOPLE)
    people_services.require_grantable_role(actor, data.role)
    email = people_services.validate_email_address(
        Organisation.objects.get(pk=actor.organisation_id), data.email
    )
    people_services.require_divisions(
        Division.objects.for_actor(actor).filter(archived_at=None), data.divisions
    )
    if data.until is not None and data.until <= timezone.now():
        raise Refused(_("Choose an end date in the future."), field="until")
    existing = Membership.objects.for_actor(actor).filter(user__email__iexact=email).first()
    if existing is not None and existing.is_live:
        raise Refused(_("%s is already a member.") % email, field="email")
    if existing is not None:
        raise Refused(
            _("%s was a member before. Restore access on that person's page.") % email, field="email"
        )
    if open_invitations(actor.organisation_id).filter(email__iexact=email).exists():
        raise Refused(_("%s is already invited. You can resend the invitation.") % email, field="email")
    return email


def open_invitations(organisation_id: int) -> "QuerySet[Invitation]":
    """Return invitations that are neither accepted nor revoked, with expired links too."""
    return Invitation.objects.in_organisation(organisation_id).filter(accepted_at=None, revoked_at=None)


def rejection_reason(invitation: Invitation) -> str:
    """Return why the invitation cannot be accepted now, for the invited person; '' when it can. It stays
    visible to its sender.
    """
    if not invitation.is_outside_domains:
        return ""
    return _(
        "Since your invitation, %(organisation)s only accepts addresses of %(domains)s; yours is "
        "%(email)s. Ask %(by)s to invite you at such an address."
    ) % {
        "organisation": invitation.organisation,
        "domains": ", ".join(invitation.organisation.email_domains),
        "email": invitation.email,
        "by": invitation.invited_by.user if invitation.invited_by else _("your administrator"),
    }


def resend(actor: Actor, invitation_id: int) -> Invitation:
    """Send a new email and link, on behalf of the actor; the older link becomes invalid. Raises `Refused`."""
    invitation = _get_open(actor, invitation_id)
    people_services.require_allowed_domain(
        Organisation.objects.get(pk=actor.organisation_id), invitation.email
    )
    require_may_send(actor.organisation_id, invitation.email)
    invitation.sends += 1
    invitation.valid_until, invitation.mail_failed = timezone.now() + VALID_FOR, False
    invitation.invited_by_id = actor.membership_id or None
    invitation.save(update_fields=["sends", "valid_until", "mail_failed", "invited_by"])
    _send(invitation)
    add_actor_entry(actor, PersonAction.INVITATION_RESENT, _subject(invitation))
    return invitation


def revoke(actor: Actor, invitation_id: int) -> Invitation:
    """Revoke an invitation. Raises `Refused`."""
    invitation = _get_open(actor, invitation_id)
    invitation.revoked_at = timezone.now()
    invitation.save(update_fields=["revoked_at"])
    add_actor_entry(actor, PersonAction.INVITATION_REVOKED, _subject(invitation))
    return invitation


def open_invitation(actor: Actor, invitation_id: int) -> Invitation:
    """Return an invitation that `revoke` would revoke. Raises `Refused`."""
    return _get_open(actor, invitation_id)


def last_sent_at(invitation: Invitation) -> datetime:
    """Return when its last email was requested."""
    return invitation.valid_until - VALID_FOR


def pair_with_links(actor: Actor, invitations: Iterable[Invitation]) -> list[tuple[Invitation, str]]:
    """Pair each with its link, for its sender to pass on where Koppel sends no email; '' otherwise.

    A person with the link can choose the password, so it is not shown for a role that the actor cannot give,
    nor where the installation serves other organisations, to which the address would seem verified.
    """
    shows_links = not settings.SENDS_MAIL and domain_owners.is_only_organisation()
    return [
        (
            invitation,
            link_of(invitation)
            if shows_links and people_services.can_grant_role(actor, Role(invitation.role))
            else "",
        )
        for invitation in invitations
    ]


def link_of(invitation: Invitation) -> str:
    token = signing.dumps([invitation.organisation_id, invitation.pk, invitation.sends], salt=SALT)
    return settings.PUBLIC_URL + reverse("invitation", args=[token])


def get_open_invitation(token: str) -> tuple[Invitation, Organisation]:
    """Return the open invitation of a link. Raises `Refused` with what to do when the link is no longer
    valid.
    """
    link_expired = Refused(_("This link no longer works. Ask the sender of the invitation for a new one."))
    try:
        organisation_id, invitation_id, sends = signing.loads(token, salt=SALT)
    except (signing.BadSignature, ValueError):
        raise link_expired from None
    with installation_scope("invitation"):
        queryset = open_invitations(organisation_id).select_related("invited_by__user", "organisation")
        invitation = queryset.filter(pk=invitation_id, sends=sends).first()
        if invitation is None or invitation.has_lapsed or not invitation.is_sender_authorized:
            raise link_expired
        return invitation, invitation.organisation


def accept(token: str, by: User | None, *, name: str, password: str, ip_address: str) -> User:
    """Become a member: as `by`, the invited person signed in with their own credentials, or as a new person
    with this name and password.

    Raises `Refused`, also when the password is too weak.
    """
    verified, organisation = get_open_invitation(token)
    with organisation_scope(organisation.pk):
        queryset = open_invitations(organisation.pk).select_related("invited_by__user", "organisation")
        invitation = (
            queryset.select_for_update(of=("self",)).filter(pk=verified.pk, sends=verified.sends).first()
        )
        if invitation is None:
            raise Refused(_("This link no longer works. Ask the sender of the invitation for a new one."))
        if refusal := rejection_reason(invitation):
            raise Refused(refusal)
        user = by or _new_user(invitation, name, password)
        if user.email.lower() != invitation.email.lower():
            raise Refused(_("This invitation is for %s. Sign out first.") % invitation.email)
        membership = join(invitation, user, ip_address, joined_at=timezone.now())
        if by is not None:
            membership_began(membership)
        return user


def join(invitation: Invitation, user: User, ip_address: str, *, joined_at: datetime | None) -> Membership:
    """Turn the invitation into a membership, in the organisation's scope. `joined_at` None: not by an action
    of the person.
    """
    access = {
        "role": invitation.role,
        "expires_at": invitation.member_until,
        "is_active": True,
        "joined_at": joined_at,
    }
    access |= {"access_restored_at": None}
    membership, _new = Membership.objects.update_or_create(
        organisation_id=invitation.organisation_id, user=user, defaults=access
    )
    people_services.set_divisions(membership, invitation.divisions)
    invitation.accepted_at = timezone.now()
    invitation.save(update_fields=["accepted_at"])
    who = AuditActor(ActorKind.PERSON, user.pk, str(user), ip_address, Interface.WEB)
    subject = Subject(SubjectKind.PERSON, membership.pk, str(user))
    add_audit_entry(
        invitation.organisation_id,
        who,
        PersonAction.JOINED,
        subject=subject,
        details={"after": {"role": invitation.role}},
    )
    return membership


def has_account(email: str) -> bool:
    """Return whether a person with this address has an account, and so signs in instead of choosing a
    password.
    """
    return User.objects.filter(email__iexact=email).exists()


def mark_mail_failed(organisation_id: int, invitation_id: int, sends: int) -> None:
    with organisation_scope(organisation_id):
        Invitation.objects.filter(pk=invitation_id, sends=sends).update(mail_failed=True)


def _new_user(invitation: Invitation, name: str, password: str) -> User:
    name = clean_text(name)
    if has_account(invitation.email):
        raise Refused(_("You already have an account. Sign in to accept."))
    if not name:
        raise Refused(_("Enter a name."), field="name")
    user = User(email=invitation.email, name=name, language=invitation.language)
    try:
        password_validation.validate_password(password, user)
    except ValidationError as error:
        raise Refused(" ".join(error.messages), field="password") from None
    user.set_password(password)
    user.save()
    return user


def _get_open(actor: Actor, invitation_id: int) -> Invitation:
    actor.require(Permission.MANAGE_PEOPLE)
    invitation = open_invitations(actor.organisation_id).select_for_update().filter(pk=invitation_id).first()
    if invitation is None:
        raise Refused(_("This invitation was already accepted or revoked."))
    people_services.require_grantable_role(actor, Role(invitation.role))
    return invitation


def _send(invitation: Invitation) -> None:
    """Let a worker send the email, so that five hundred invitations do not wait for the mail server one by
    one.
    """
    enqueue(
        "organisations.send_invitation",
        organisation_id=invitation.organisation_id,
        invitation_id=invitation.pk,
        sends=invitation.sends,
    )


def _subject(invitation: Invitation) -> Subject:
    return Subject(SubjectKind.INVITATION, invitation.pk, invitation.email)
