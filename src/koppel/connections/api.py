"""Connections over REST: their health, and the acts of the pages."""

from datetime import datetime

from django.utils.translation import gettext as _
from ninja import Router, Schema
from pydantic import AwareDatetime

from koppel.connections import overview, ownership, queries, repair, settling
from koppel.connections.consent import begin_consent
from koppel.connections.dependants import Fate
from koppel.connections.models import ConsentPurpose, Release
from koppel.connections.probe import probe as call
from koppel.kit.schemas import Input
from koppel.organisations.errors import Refused
from koppel.organisations.policy import Permission
from koppel.web.doors import MemberRequest

router = Router()


class ConnectionOut(Schema):
    """`state` is pending, active, degraded (Koppel is retrying), needs_reauth (somebody must sign in) or paused. `waiting`
    administrations wait for a sign-in, `troubled` ones cannot be reached for reasons of their own. `owner` and `next_owner`
    are ids of members."""

    id: int
    system: str
    account: str
    state: str
    reason: str
    owner: int
    next_owner: int | None
    environment: str
    administrations: int
    waiting: int
    troubled: int
    releases: str
    degraded_since: datetime | None
    last_contact_at: datetime | None
    consent_until: datetime | None


class EventOut(Schema):
    """`until` ends what lasts; what repeats is one event that happened `times` times."""

    kind: str
    at: datetime
    until: datetime | None
    times: int
    by: str
    facts: dict[str, object]


class CompanyOut(Schema):
    """An imported company. `health` is ok, failing, waiting, unreachable, gone or other_company; `sentence` says why."""

    administration: int
    name: str
    source_id: str
    health: str
    sentence: str
    since: datetime | None
    last_contact_at: datetime | None


class ProbeOut(Schema):
    """`code` '' when the vendor answered."""

    answered: bool
    state: str
    company: str
    milliseconds: int
    code: str
    sentence: str


class ChangeOut(Schema):
    """What a person has yet to settle about an imported company. `code` is company_renamed, company_code_changed,
    company_number_changed, company_number_missing, or other_company: name and number are both different from what was
    confirmed, and nothing is read. `other_company_denied`: somebody said that it is another company. The numbers are '' but
    for these two."""

    administration: int
    name: str
    code: str
    old: str
    new: str
    old_number: str
    new_number: str
    mark: str


class SettleIn(Schema):
    """`take`: take the change over, or leave the administration as it is; for other_company: it is the same company, or it is
    not. `seen`: when you read the changes; what is said or claimed since then is refused. `marks`: those of the changes that
    you read; when what is there now has another mark, nothing is settled."""

    administrations: list[int] = []
    code: str = ""
    take: bool | None = None
    seen: AwareDatetime | None = None
    marks: list[str] = []


class SettledOut(Schema):
    """How many were open; what was settled before is no mistake."""

    settled: int


class RemovalOut(Schema):
    """What a removal would do; send `seen` back with it, so that nothing else is done than what was shown."""

    administrations: int
    reached_elsewhere: int
    needs_administrator: bool
    seen: str


class RemovalIn(Input):
    """`administrations`: move (those that another connection reaches), wait, or deactivate."""

    administrations: Fate
    seen: str | None = None


class OwnerIn(Input):
    member: int


class ReleaseIn(Input):
    which: Release
    companies: list[int] = []


class Changed(Schema):
    """False when there was nothing to do: an act asked twice is done once."""

    changed: bool


class SignInOut(Schema):
    """Open `url` in a browser that is signed in to Koppel as the same member."""

    url: str


@router.get("", response=list[ConnectionOut])
def connections(request: MemberRequest) -> list[ConnectionOut]:
    """All connections of the firm; those that need somebody first."""
    request.actor.require(Permission.IMPORT)
    return [_out(card) for card in overview.cards(request.actor)]


@router.get("/{connection_id}", response=ConnectionOut)
def connection(request: MemberRequest, connection_id: int) -> ConnectionOut:
    """One connection with its health."""
    request.actor.require(Permission.IMPORT)
    return _out(overview.card_of(queries.connection_for(request.actor, connection_id)))


@router.get("/{connection_id}/events", response=list[EventOut])
def events(request: MemberRequest, connection_id: int) -> list[EventOut]:
    """The timeline, newest first, at most 100."""
    request.actor.require(Permission.IMPORT)
    found = queries.timeline(request.actor, queries.connection_for(request.actor, connection_id))
    return [
        EventOut(kind=one.kind, at=one.at, until=one.until, times=one.times, by=one.actor_name, facts=one.facts)
        for one in found
    ]


@router.get("/{connection_id}/administrations", response=list[CompanyOut])
def administrations(request: MemberRequest, connection_id: int) -> list[CompanyOut]:
    """The health of each administration, troubled ones first, at most 500."""
    request.actor.require(Permission.IMPORT)
    rows = overview.company_rows(request.actor, queries.connection_for(request.actor, connection_id))
    return [
        CompanyOut(
            administration=row.administration_id, name=row.administration, source_id=row.company.external_id,
            health=row.health, sentence=row.sentence, since=row.since, last_contact_at=row.company.last_contact_at,
        )
        for row in rows
    ]  # fmt: skip


@router.get("/{connection_id}/changes", response=list[ChangeOut])
def changes(request: MemberRequest, connection_id: int) -> list[ChangeOut]:
    """What is different at the accounting system and waits for a person, those that stop a sync first."""
    request.actor.require(Permission.IMPORT)
    found = overview.open_changes(request.actor, queries.connection_for(request.actor, connection_id))
    return [ChangeOut(**{name: getattr(one, name) for name in ChangeOut.model_fields}) for one in found]


@router.post("/{connection_id}/changes", response=SettledOut)
def settle(request: MemberRequest, connection_id: int, answer: SettleIn) -> SettledOut:
    """One answer for some administrations of a connection."""
    request.actor.require(Permission.IMPORT)
    if answer.take is None:
        raise Refused(_("Say what you decide: `take` is true or false."))
    count = settling.settle_changes(
        request.actor,
        connection_id,
        answer.administrations,
        answer.code,
        take=answer.take,
        seen=answer.seen,
        shown=answer.marks,
    )
    return SettledOut(settled=count)


@router.post("/{connection_id}/probe", response=ProbeOut, url_name="connection_probe")
def probe(request: MemberRequest, connection_id: int) -> ProbeOut:
    """One cheap call, now. Runs outside a transaction."""
    found = call(request.actor, connection_id)
    return ProbeOut(**{name: getattr(found, name) for name in ProbeOut.model_fields})


@router.post("/{connection_id}/pause", response=Changed)
def pause(request: MemberRequest, connection_id: int) -> Changed:
    """Nothing is read until it is resumed; a run under way waits where it is."""
    return Changed(changed=repair.pause(request.actor, connection_id))


@router.post("/{connection_id}/resume", response=Changed)
def resume(request: MemberRequest, connection_id: int) -> Changed:
    """What waited goes on."""
    return Changed(changed=repair.resume(request.actor, connection_id))


@router.post("/{connection_id}/reconnect", response=SignInOut)
def reconnect(request: MemberRequest, connection_id: int) -> SignInOut:
    """Begin to sign in again; a person goes on in a browser."""
    request.actor.require(Permission.CONNECTIONS)
    one = queries.connection_for(request.actor, connection_id)
    url = begin_consent(
        request.actor, one.app_id, ConsentPurpose.RECONNECT, f"/connections/{one.pk}/", connection_id=one.pk,
        force_sign_in=True,
    )  # fmt: skip
    return SignInOut(url=url)


@router.post("/{connection_id}/owner", response=Changed)
def owner(request: MemberRequest, connection_id: int, asked: OwnerIn) -> Changed:
    """Ask a member to take over: it changes when they have signed in at the accounting system."""
    return Changed(changed=ownership.ask_to_take_over(request.actor, connection_id, asked.member))


@router.post("/{connection_id}/release", response=Changed)
def release(request: MemberRequest, connection_id: int, asked: ReleaseIn) -> Changed:
    """Which companies others than the owner may import: all, none, or the selected ones."""
    repair.release(request.actor, connection_id, asked.which, asked.companies)
    return Changed(changed=True)


@router.get("/{connection_id}/removal", response=RemovalOut)
def removal(request: MemberRequest, connection_id: int) -> RemovalOut:
    """What removing the connection would do."""
    return _removal(repair.preview_removal(request.actor, connection_id))


@router.post("/{connection_id}/removal", response=RemovalOut)
def remove(request: MemberRequest, connection_id: int, asked: RemovalIn) -> RemovalOut:
    """Remove the connection; its tokens are withdrawn at the accounting system."""
    return _removal(repair.remove(request.actor, connection_id, asked.administrations, seen=asked.seen))


def _removal(found: repair.Removal) -> RemovalOut:
    return RemovalOut(**{name: getattr(found, name) for name in RemovalOut.model_fields})


def _out(card: overview.Card) -> ConnectionOut:
    one = card.connection
    return ConnectionOut(
        id=one.pk, system=one.connector, account=one.account, state=one.state, reason=one.reason, owner=one.owner_id,
        next_owner=one.next_owner_id, environment=one.app.environment, administrations=card.administrations,
        waiting=card.waiting, troubled=card.troubled, releases=one.releases, degraded_since=one.degraded_since,
        last_contact_at=one.last_contact_at, consent_until=card.ends,
    )  # fmt: skip
