"""Connections over REST: their health, and the actions of the pages."""

from datetime import datetime

from django.utils.translation import gettext as _
from ninja import Router, Schema

from koppel.connections import lifecycle, queries
from koppel.connections.companies import resolution
from koppel.connections.companies.company_rows import list_company_rows, list_open_changes
from koppel.connections.consent.attempts import begin_attempt
from koppel.connections.display import summaries
from koppel.connections.inputs import ChangeResolution, ImportPolicyInput, RemovalInput, TransferInput
from koppel.connections.issue_types import ConnectionIssue
from koppel.connections.lifecycle import ownership
from koppel.connections.lifecycle.connection_check import check_connection
from koppel.connections.models import ConsentPurpose
from koppel.kit.database.json_fields import MessageContext
from koppel.kit.web.sentences import render_sentence, values_in_english
from koppel.organisations.errors import Refused
from koppel.organisations.requests import AuthenticatedRequest, permission_required
from koppel.organisations.roles import Permission

router = Router()


class ConnectionOut(Schema):
    """`state` is pending, active, degraded (Koppel retries), needs_reauth (a person must sign in) or paused.

    `awaiting_sign_in` administrations wait for a sign-in; `failing` ones cannot be reached for other reasons.
    `owner` and `pending_owner` are ids of members.
    """

    id: int
    system: str
    account: str
    state: str
    reason: str
    owner: int
    pending_owner: int | None
    environment: str
    administrations: int
    awaiting_sign_in: int
    failing: int
    import_policy: str
    degraded_since: datetime | None
    last_contact_at: datetime | None
    consent_expires_at: datetime | None


class TimelineEventOut(Schema):
    """`ended_at` ends a lasting event; a repeated one is one event with a `count`."""

    kind: str
    at: datetime
    ended_at: datetime | None
    count: int
    actor_name: str
    context: MessageContext


class CompanyOut(Schema):
    """An imported company. `health` is ok, failing, awaiting_sign_in, unreachable, unlisted or other_company;
    `message` says why.
    """

    administration: int
    name: str
    source_id: str
    health: str
    message: str
    since: datetime | None
    last_contact_at: datetime | None


class ConnectionCheckOut(Schema):
    """`code` '' when the vendor answered."""

    answered: bool
    state: str
    company: str
    milliseconds: int
    code: str
    message: str


class CompanyChangeOut(Schema):
    """What a person has yet to settle about an imported company. `code` is company_renamed,
    company_code_changed, company_number_changed, company_number_missing, or other_company: name and number
    are both different from what was confirmed, and nothing is read. `other_company_confirmed`: a person said
    that it is another company. The numbers are '' but for these two.
    """

    administration: int
    name: str
    code: str
    old: str
    new: str
    old_number: str
    new_number: str
    fingerprint: str


class ChangesResolvedOut(Schema):
    """The number of open changes; resolving one again is no error."""

    resolved: int


class RemovalOut(Schema):
    """The effect of a removal; send `fingerprint` back with it, so that nothing else is done than what was
    shown.
    """

    administrations: int
    reached_elsewhere: int
    needs_administrator: bool
    fingerprint: str


class Changed(Schema):
    """False when there was nothing to do: a repeated action has no further effect."""

    changed: bool


class SignInOut(Schema):
    """Open `url` in a browser that is signed in to Koppel as the same member."""

    url: str


@router.get("", response=list[ConnectionOut])
@permission_required(Permission.IMPORT_ADMINISTRATIONS)
def list_connections(request: AuthenticatedRequest) -> list[ConnectionOut]:
    """List all connections of the organisation; connections that need a person come first."""
    return [_connection_out(card) for card in summaries.list_summaries(request.actor)]


@router.get("/{connection_id}", response=ConnectionOut)
@permission_required(Permission.IMPORT_ADMINISTRATIONS)
def get_connection(request: AuthenticatedRequest, connection_id: int) -> ConnectionOut:
    """Show one connection with its health."""
    return _connection_out(
        summaries.summarize(request.actor, queries.get_connection(request.actor, connection_id))
    )


@router.get("/{connection_id}/events", response=list[TimelineEventOut])
@permission_required(Permission.IMPORT_ADMINISTRATIONS)
def list_events(request: AuthenticatedRequest, connection_id: int) -> list[TimelineEventOut]:
    """List the timeline, newest first, at most 100."""
    events_page = queries.timeline(request.actor, queries.get_connection(request.actor, connection_id))
    return [
        TimelineEventOut(
            kind=event.kind,
            at=event.at,
            ended_at=event.ended_at,
            count=event.count,
            actor_name=event.actor_name,
            context=values_in_english(event.context),
        )
        for event in events_page
    ]


@router.get("/{connection_id}/administrations", response=list[CompanyOut])
@permission_required(Permission.IMPORT_ADMINISTRATIONS)
def list_administrations(request: AuthenticatedRequest, connection_id: int) -> list[CompanyOut]:
    """List the health of each administration, troubled ones first, at most 500."""
    rows = list_company_rows(request.actor, queries.get_connection(request.actor, connection_id))
    return [
        CompanyOut(
            administration=row.administration_id,
            name=row.administration,
            source_id=row.company.external_id,
            health=row.health,
            message=row.message,
            since=row.since,
            last_contact_at=row.company.last_contact_at,
        )
        for row in rows
    ]


@router.get("/{connection_id}/changes", response=list[CompanyChangeOut])
@permission_required(Permission.IMPORT_ADMINISTRATIONS)
def list_changes(request: AuthenticatedRequest, connection_id: int) -> list[CompanyChangeOut]:
    """List what is different at the accounting system and waits for a person, those that stop a sync
    first.
    """
    open_changes = list_open_changes(request.actor, queries.get_connection(request.actor, connection_id))
    return [
        CompanyChangeOut(**{name: getattr(change, name) for name in CompanyChangeOut.model_fields})
        for change in open_changes
    ]


@router.post("/{connection_id}/changes", response=ChangesResolvedOut)
@permission_required(Permission.IMPORT_ADMINISTRATIONS)
def resolve_changes(
    request: AuthenticatedRequest, connection_id: int, data: ChangeResolution
) -> ChangesResolvedOut:
    """Settle changes of some administrations of a connection with one decision."""
    if data.viewed_at is None and data.code == ConnectionIssue.OTHER_COMPANY:
        raise Refused(_("Set `viewed_at` to the time you read the changes."), field="viewed_at")
    return ChangesResolvedOut(resolved=resolution.resolve_changes(request.actor, connection_id, data))


@router.post("/{connection_id}/test", response=ConnectionCheckOut, url_name="connection_test")
@permission_required(Permission.IMPORT_ADMINISTRATIONS)
def check_connection_now(request: AuthenticatedRequest, connection_id: int) -> ConnectionCheckOut:
    """Check a connection with one cheap call, now. Runs outside a transaction."""
    check = check_connection(request.actor, connection_id)
    return ConnectionCheckOut(
        answered=check.answered,
        state=check.state,
        company=check.company,
        milliseconds=check.milliseconds,
        code=check.code,
        message=check.message,
    )


@router.post("/{connection_id}/pause", response=Changed)
@permission_required(Permission.MANAGE_CONNECTIONS)
def pause_connection(request: AuthenticatedRequest, connection_id: int) -> Changed:
    """Pause a connection: nothing is read until it is resumed; a run under way waits where it is."""
    return Changed(changed=lifecycle.pause_connection(request.actor, connection_id))


@router.post("/{connection_id}/resume", response=Changed)
@permission_required(Permission.MANAGE_CONNECTIONS)
def resume_connection(request: AuthenticatedRequest, connection_id: int) -> Changed:
    """Resume a paused connection."""
    return Changed(changed=lifecycle.resume_connection(request.actor, connection_id))


@router.post("/{connection_id}/reconnect", response=SignInOut)
@permission_required(Permission.MANAGE_CONNECTIONS)
def reconnect_connection(request: AuthenticatedRequest, connection_id: int) -> SignInOut:
    """Begin to sign in again; a person continues in a browser."""
    connection = queries.get_connection(request.actor, connection_id)
    url = begin_attempt(
        request.actor,
        connection.app_id,
        ConsentPurpose.RECONNECT,
        connection.get_absolute_url(),
        connection_id=connection.pk,
        force_sign_in=True,
    )
    return SignInOut(url=url)


@router.post("/{connection_id}/owner", response=Changed)
@permission_required(Permission.MANAGE_CONNECTIONS)
def request_transfer(request: AuthenticatedRequest, connection_id: int, payload: TransferInput) -> Changed:
    """Ask a member to take over: it changes when they have signed in at the accounting system."""
    return Changed(changed=ownership.request_transfer(request.actor, connection_id, payload.member))


@router.post("/{connection_id}/import-policy", response=Changed)
@permission_required(Permission.MANAGE_CONNECTIONS)
def set_import_policy(
    request: AuthenticatedRequest, connection_id: int, payload: ImportPolicyInput
) -> Changed:
    """Set which companies members other than the owner may import: all, none, or the selected ones."""
    lifecycle.set_import_policy(request.actor, connection_id, payload)
    return Changed(changed=True)


@router.get("/{connection_id}/removal", response=RemovalOut)
@permission_required(Permission.MANAGE_CONNECTIONS)
def preview_removal(request: AuthenticatedRequest, connection_id: int) -> RemovalOut:
    """Show what removing the connection would do."""
    return _removal_out(lifecycle.preview_removal(request.actor, connection_id))


@router.post("/{connection_id}/removal", response=RemovalOut)
@permission_required(Permission.MANAGE_CONNECTIONS)
def remove_connection(request: AuthenticatedRequest, connection_id: int, payload: RemovalInput) -> RemovalOut:
    """Remove the connection; its tokens are withdrawn at the accounting system."""
    return _removal_out(lifecycle.remove_connection(request.actor, connection_id, payload))


def _removal_out(removal: lifecycle.Removal) -> RemovalOut:
    return RemovalOut(**{name: getattr(removal, name) for name in RemovalOut.model_fields})


def _connection_out(card: summaries.ConnectionSummary) -> ConnectionOut:
    app = card.connection
    return ConnectionOut(
        id=app.pk,
        system=app.connector,
        account=app.account,
        state=app.state,
        reason=render_sentence(app.reason),
        owner=app.owner_id,
        pending_owner=app.pending_owner_id,
        environment=app.app.environment,
        administrations=card.administrations,
        awaiting_sign_in=card.awaiting_sign_in,
        failing=card.failing,
        import_policy=app.import_policy,
        degraded_since=app.degraded_since,
        last_contact_at=app.last_contact_at,
        consent_expires_at=card.consent_expires_at,
    )
