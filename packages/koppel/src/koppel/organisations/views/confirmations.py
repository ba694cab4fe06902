"""Confirmations before people, divisions and templates lose something: each names its effect."""

from collections.abc import Mapping, Sequence

from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from koppel.kit.web.confirmation import Confirmation, Group
from koppel.organisations.access.sessions import sessions_of
from koppel.organisations.models import ApiToken, EmailDomain, Invitation, Membership
from koppel.organisations.people.handover import Transfer
from koppel.organisations.roles import Role


def confirm_handover(transfer: Transfer) -> Confirmation:
    """Confirm a handover of all items that a person owns to a colleague."""
    leaver, heir = str(transfer.departing_member.user), str(transfer.successor.user)
    names = {"leaver": leaver, "heir": heir}
    title = _("Transfer all responsibilities of %(leaver)s to %(heir)s?")
    fields = {"to": str(transfer.successor.pk)} | ({"deactivate": "1"} if transfer.deactivate else {})
    consequences = [
        _("%(heir)s will replace %(leaver)s on all of these. This cannot be undone with one click.")
    ]
    if any(kind.key == "connections" for kind in transfer.items):
        consequences.append(
            _("Each connection will transfer once %(heir)s has signed in for it. Nothing changes until then.")
        )
    if transfer.deactivate:
        consequences += _access_effects(leaver, transfer.sessions, transfer.tokens)
    else:
        consequences.append(_("%(leaver)s will keep access."))
    return Confirmation(
        title=_("Hand over"),
        question=title % names,
        button=_("Transfer and revoke access") if transfer.deactivate else _("Hand over"),
        cancel_url=_page_of(transfer.departing_member),
        consequences=[consequence % names for consequence in consequences],
        groups=[Group(kind.label, [name for _key, name in kind.items]) for kind in transfer.items],
        fields=fields,
        facts=transfer.facts,
        nav_section="people",
    )


def confirm_loss_of_access(
    person: Membership, role: Role, fields: Mapping[str, str | Sequence[str]]
) -> Confirmation:
    """Confirm that a person loses access. `fields` of the form are submitted again."""
    sessions, tokens = _open_sessions(person), _live_tokens(person)
    name = str(person.user)
    kept_ownerships = _("%(leaver)s keeps administrations and connections until you transfer them.") % {
        "leaver": name
    }
    return Confirmation(
        title=_("Revoke access"),
        question=_("Revoke the access of %s?") % name,
        button=_("Revoke access"),
        cancel_url=_page_of(person),
        consequences=[*_access_effects(name, sessions, tokens), kept_ownerships],
        fields=fields,
        facts=[person.pk, role, sessions, tokens],
        nav_section="people",
    )


def confirm_ending_sessions(person: Membership) -> Confirmation:
    """Confirm the end of all sessions of a person."""
    return Confirmation(
        title=_("End all sessions"),
        question=_("End all sessions of %s?") % person.user,
        button=_("End all sessions"),
        cancel_url=_page_of(person),
        consequences=[
            *([_session_effect(count)] if (count := _open_sessions(person)) else []),
            _("Unsaved input is lost. The person can sign in again."),
        ],
        facts=[person.pk],
        nav_section="people",
    )


def confirm_ending_other_sessions(count: int) -> Confirmation:
    """Confirm the end of all own sessions except this one."""
    return Confirmation(
        title=_("End all other sessions"),
        question=_("End all other sessions?"),
        button=_("End all other sessions"),
        cancel_url=reverse("account:sessions"),
        consequences=[_session_effect(count), _("Unsaved input on those devices is lost.")],
        facts="others",
    )


def confirm_signing_out_everywhere(count: int) -> Confirmation:
    """Confirm the end of all own sessions, this one included."""
    return Confirmation(
        title=_("Sign out everywhere"),
        question=_("Sign out everywhere, here too?"),
        button=_("Sign out everywhere"),
        cancel_url=reverse("account:sessions"),
        consequences=[
            _session_effect(count),
            _("Unsaved input on those devices is lost."),
            _("API tokens keep working."),
        ],
        fields={"all": "sessions"},
        facts="everywhere",
    )


def confirm_revoking_own_tokens(count: int) -> Confirmation:
    """Confirm the revocation of all own API tokens."""
    consequence = ngettext("%(count)d token stops working.", "%(count)d tokens stop working.", count) % {
        "count": count
    }
    return Confirmation(
        title=_("Revoke all API tokens"),
        question=_("Revoke all your API tokens?"),
        button=_("Revoke all API tokens"),
        cancel_url=reverse("account:sessions"),
        consequences=[consequence, _("Programs using them no longer have access. This cannot be undone.")],
        fields={"all": "tokens"},
        facts=count,
    )


def confirm_revoking_token(person: Membership, token: ApiToken) -> Confirmation:
    """Confirm the revocation of another person's token."""
    return Confirmation(
        title=_("Revoke token"),
        question=_("Revoke the token “%(token)s” of %(person)s?")
        % {"token": token.name, "person": person.user},
        button=_("Revoke token"),
        cancel_url=_page_of(person),
        consequences=[
            _("Programs using it no longer have access. This cannot be undone; you can create a new token.")
        ],
        facts=token.pk,
        nav_section="people",
    )


def confirm_revoking_invitation(invitation: Invitation) -> Confirmation:
    """Confirm the revocation of an invitation."""
    return Confirmation(
        title=_("Revoke invitation"),
        question=_("Revoke the invitation of %s?") % invitation.email,
        button=_("Revoke invitation"),
        cancel_url=reverse("organisations:people"),
        consequences=[_("The link in the invitation no longer works. You can invite this person again.")],
        facts=invitation.pk,
        nav_section="people",
    )


def confirm_removing_domain(domain: EmailDomain) -> Confirmation:
    """Confirm the removal of an e-mail domain."""
    consequences = [_("Members keep their access and their linked sign-in.")]
    if domain.is_verified:
        consequences.insert(
            0, _("The sign-in page no longer leads addresses of %s to your identity provider.") % domain
        )
    consequences.append(_("If you add the domain again, it gets another DNS record."))
    return Confirmation(
        title=_("Remove domain"),
        question=_("Remove %s?") % domain,
        button=_("Remove domain"),
        cancel_url=reverse("organisations:security") + "#email-domains",
        consequences=consequences,
        facts=[domain.pk, domain.state],
        nav_section="security",
    )


def confirm_merge(
    kind: str, names: tuple[str, str], facts: Sequence[int], into: int, cancel_url: str
) -> Confirmation:
    """Confirm the merge of a division or template into another.

    `names` holds the emptied and the remaining one; `facts` their ids, administrations and people.
    """
    leaving, staying = names
    count, people = facts[1], facts[2] if len(facts) > 2 else 0
    moves = ngettext(
        "%(count)d administration moves to “%(name)s”.",
        "%(count)d administrations move to “%(name)s”.",
        count,
    )
    more = ngettext("%(count)d person moves to “%(name)s”.", "%(count)d people move to “%(name)s”.", people)
    consequences = [moves % {"count": count, "name": staying}]
    if people:
        consequences.append(more % {"count": people, "name": staying})
    consequences.append(_("“%s” is then empty and archived. This cannot be undone with one click.") % leaving)
    return Confirmation(
        title=_("Merge"),
        question=_("Merge “%(leaving)s” into “%(staying)s”?") % {"leaving": leaving, "staying": staying},
        button=_("Merge"),
        cancel_url=cancel_url,
        consequences=consequences,
        fields={"into": str(into)},
        facts=[kind, *facts],
        nav_section=f"{kind}s",
    )


def _access_effects(name: str, sessions: int, tokens: int) -> list[str]:
    revoked = ngettext(
        "%(count)d API token will be revoked.", "%(count)d API tokens will be revoked.", tokens
    )
    return [
        _("%s will lose access to this organisation.") % name,
        *([_session_effect(sessions)] if sessions else []),
        *([revoked % {"count": tokens}] if tokens else []),
    ]


def _session_effect(count: int) -> str:
    return ngettext(
        "%(count)d session will end immediately.", "%(count)d sessions will end immediately.", count
    ) % {"count": count}


def _open_sessions(person: Membership) -> int:
    return len(sessions_of(person.user_id, person.organisation_id))


def _live_tokens(person: Membership) -> int:
    tokens = ApiToken.objects.in_organisation(person.organisation_id).filter(
        membership=person, revoked_at=None
    )
    return tokens.count()


def _page_of(person: Membership) -> str:
    return reverse("organisations:person", args=[person.pk])
