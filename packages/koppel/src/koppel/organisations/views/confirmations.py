"""Confirmations before people, divisions and templates lose something: what happens, to how much, by name."""

from collections.abc import Mapping, Sequence

from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from koppel.kit.web.confirmation import Confirmation, Group
from koppel.organisations.access.sessions import sessions_of
from koppel.organisations.models import ApiToken, Invitation, Membership
from koppel.organisations.people.handover import Transfer
from koppel.organisations.roles import Role


def hand_over(transfer: Transfer) -> Confirmation:
    """Confirm handing everything that a person holds to a colleague."""
    leaver, heir = str(transfer.departing_member.user), str(transfer.successor.user)
    names = {"leaver": leaver, "heir": heir}
    title = _("Hand over what %(leaver)s holds to %(heir)s?")
    fields = {"to": str(transfer.successor.pk)} | ({"deactivate": "1"} if transfer.deactivate else {})
    consequences = [
        _("The name of %(leaver)s is replaced by %(heir)s on all of this. It is not undone with one click.")
    ]
    if any(kind.key == "connections" for kind in transfer.moving):
        consequences.append(
            _(
                "Each connection changes hands when %(heir)s has signed in for it; "
                "until then it runs as it does now."
            )
        )
    if transfer.deactivate:
        consequences += _access_ends(leaver, transfer.sessions, transfer.tokens)
    else:
        consequences.append(_("%(leaver)s can still sign in: the access does not change."))
    return Confirmation(
        title=_("Hand over"),
        question=title % names,
        button=_("Hand over and take away access") if transfer.deactivate else _("Hand over"),
        cancel_url=_page_of(transfer.departing_member),
        consequences=[consequence % names for consequence in consequences],
        groups=[Group(kind.label, [name for _key, name in kind.items]) for kind in transfer.moving],
        fields=fields,
        facts=transfer.facts,
        nav_section="people",
    )


def take_away_access(
    person: Membership, role: Role, fields: Mapping[str, str | Sequence[str]]
) -> Confirmation:
    """Ask before a person loses access. `fields` of the form go along."""
    sessions, tokens = _open_sessions(person), _live_tokens(person)
    name = str(person.user)
    kept = _("Administrations and connections stay with %(leaver)s until they are handed over.") % {
        "leaver": name
    }
    return Confirmation(
        title=_("Take away access"),
        question=_("Take away the access of %s?") % name,
        button=_("Take away access"),
        cancel_url=_page_of(person),
        consequences=[*_access_ends(name, sessions, tokens), kept],
        fields=fields,
        facts=[person.pk, role, sessions, tokens],
        nav_section="people",
    )


def end_sessions(person: Membership) -> Confirmation:
    """Ask before a person is signed out everywhere."""
    count = _open_sessions(person)
    consequence = ngettext("%(count)d session ends at once.", "%(count)d sessions end at once.", count) % {
        "count": count
    }
    return Confirmation(
        title=_("End all sessions"),
        question=_("Sign %s out everywhere?") % person.user,
        button=_("End all sessions"),
        cancel_url=_page_of(person),
        consequences=[consequence, _("What is typed but not saved is lost. The person may sign in again.")],
        facts=[person.pk],
        nav_section="people",
    )


def end_other_sessions(count: int) -> Confirmation:
    """Ask before all sessions of one's own end but this one."""
    consequence = ngettext("%(count)d session ends at once.", "%(count)d sessions end at once.", count) % {
        "count": count
    }
    return Confirmation(
        title=_("End all others"),
        question=_("End all sessions but this one?"),
        button=_("End all others"),
        cancel_url=reverse("account:sessions"),
        consequences=[consequence, _("What is typed there but not saved is lost.")],
        facts="others",
    )


def revoke_token(person: Membership, token: ApiToken) -> Confirmation:
    """Confirm revoking another person's token."""
    return Confirmation(
        title=_("Revoke the token"),
        question=_("Revoke the token “%(token)s” of %(person)s?")
        % {"token": token.name, "person": person.user},
        button=_("Revoke the token"),
        cancel_url=_page_of(person),
        consequences=[
            _("Programs that use it are refused from now on. This cannot be undone; a new token can be made.")
        ],
        facts=token.pk,
        nav_section="people",
    )


def revoke_invitation(invitation: Invitation) -> Confirmation:
    """Ask before an invitation is taken back."""
    return Confirmation(
        title=_("Revoke the invitation"),
        question=_("Revoke the invitation of %s?") % invitation.email,
        button=_("Revoke the invitation"),
        cancel_url=reverse("organisations:people"),
        consequences=[_("The link that was sent no longer works. The person can be invited again.")],
        facts=invitation.pk,
        nav_section="people",
    )


def merge(
    kind: str, names: tuple[str, str], facts: Sequence[int], into: int, cancel_url: str
) -> Confirmation:
    """Ask before a division or template is merged into another.

    `names` and `facts`: of the one that is emptied and of the one that
    stays; its id, administrations and people."""
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
    consequences.append(
        _("“%s” stays behind, empty and archived. This cannot be undone with one click.") % leaving
    )
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


def _access_ends(name: str, sessions: int, tokens: int) -> list[str]:
    ended = ngettext("%(count)d session ends at once.", "%(count)d sessions end at once.", sessions)
    revoked = ngettext("%(count)d API token is revoked.", "%(count)d API tokens are revoked.", tokens)
    return [
        _("%s can no longer sign in to this organisation.") % name,
        ended % {"count": sessions},
        revoked % {"count": tokens},
    ]


def _open_sessions(person: Membership) -> int:
    return len(sessions_of(person.user_id, person.organisation_id))


def _live_tokens(person: Membership) -> int:
    tokens = ApiToken.objects.in_organisation(person.organisation_id).filter(
        membership=person, revoked_at=None
    )
    return tokens.count()


def _page_of(person: Membership) -> str:
    return reverse("organisations:person", args=[person.pk])
