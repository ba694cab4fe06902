"""Listeners for connections: wait or move when a connection is removed, stop when another company appears,
accept the vendor's answers.
"""

from collections.abc import Sequence

from django.db.models import QuerySet
from django.utils.translation import gettext as _

from koppel.administrations.audit_actions import BulkAuditAction
from koppel.administrations.identity import services as identity
from koppel.administrations.lifecycle.blocked_status import (
    AWAITING_CONNECTION,
    OTHER_COMPANY,
    columns_awaiting_connection,
)
from koppel.administrations.models import Administration, Status
from koppel.audit.services import add_audit_entry
from koppel.company_registers.numbers.identity import check_identity
from koppel.connections.companies.same_company import VendorIdentity, inherit_identity, update_conflict
from koppel.connections.hooks import RemovalPolicy
from koppel.connections.models import ConnectionState, RemoteCompany
from koppel.organisations.roles import Actor

LIVE_STATES = (ConnectionState.ACTIVE, ConnectionState.DEGRADED)


def block(organisation_id: int, administration_ids: Sequence[int], reason: str) -> None:
    """Block administrations because of another company. A deactivated one stays deactivated."""
    administrations = Administration.objects.in_organisation(organisation_id).filter(
        pk__in=list(administration_ids)
    )
    blocked = {"status": Status.BLOCKED, "status_code": OTHER_COMPANY, "status_reason": reason}
    administrations.exclude(status=Status.DEACTIVATED).update(**blocked)


def unblock(organisation_id: int, administration_ids: Sequence[int], _requested_by: str) -> None:
    """Unblock administrations; one that was never read in full waits for its first sync."""
    administrations = Administration.objects.in_organisation(organisation_id).filter(
        pk__in=list(administration_ids)
    )
    cleared = {"status_code": "", "status_reason": ""}
    stopped = administrations.filter(status=Status.BLOCKED, status_code=OTHER_COMPANY)
    stopped.filter(activated_at=None).update(status=Status.QUEUED, **cleared)
    stopped.exclude(activated_at=None).update(status=Status.ACTIVE, **cleared)


def detach_from_connection(actor: Actor, connection_id: int, policy: RemovalPolicy) -> int:
    """Detach administrations before a connection is removed. Returns the number
    left without a connection.
    """
    administrations = Administration.objects.for_actor(actor).filter(connection_id=connection_id)
    if policy is RemovalPolicy.MOVE:
        _move(actor, administrations, _reachable_companies(actor).exclude(connection_id=connection_id))
    remaining = administrations.all()
    count = remaining.count()
    if policy is RemovalPolicy.DEACTIVATE:
        remaining.update(status=Status.DEACTIVATED, status_code=AWAITING_CONNECTION, status_reason="")
    else:
        remaining.exclude(status=Status.DEACTIVATED).update(**columns_awaiting_connection())
    return count


def attach_waiting(actor: Actor, connection_id: int) -> int:
    """Attach administrations that wait for a connection to this one, after its companies were listed. Returns
    how many.
    """
    waiting = Administration.objects.for_actor(actor).filter(connection__state=ConnectionState.REMOVED)
    return _move(actor, waiting, _reachable_companies(actor).filter(connection_id=connection_id))


def _reachable_companies(actor: Actor) -> "QuerySet[RemoteCompany]":
    companies = RemoteCompany.objects.for_actor(actor).filter(
        is_listed=True, connection__state__in=LIVE_STATES
    )
    return companies.filter(administrations=None).select_related("connection").order_by("-connection_id")


def _move(
    actor: Actor, administrations: "QuerySet[Administration]", companies: "QuerySet[RemoteCompany]"
) -> int:
    """Point administrations at the same company (the vendor's immutable id) of another connection. Nothing
    else changes: settings, people, books and checkpoints stay. Returns how many moved.
    """
    waiting = list(administrations.select_related("remote_company", "connection"))
    external_ids = {administration.remote_company.external_id for administration in waiting}
    by_company = {
        (company.connection.connector, company.external_id): company
        for company in companies.filter(external_id__in=external_ids)
    }
    moved_administrations = []
    targets = []
    for administration in waiting:
        target = by_company.get(
            (administration.connection.connector, administration.remote_company.external_id)
        )
        if target is None:
            continue
        inherit_identity(target, administration.remote_company)
        targets.append(target)
        administration.connection_id, administration.remote_company_id = target.connection_id, target.pk
        if administration.status_code == AWAITING_CONNECTION and administration.status != Status.DEACTIVATED:
            administration.status = Status.ACTIVE if administration.activated_at else Status.QUEUED
        administration.status_code, administration.status_reason = (
            ("", "")
            if administration.status_code == AWAITING_CONNECTION
            else (administration.status_code, administration.status_reason)
        )
        moved_administrations.append(administration)
    fields = ["connection", "remote_company", "status", "status_code", "status_reason"]
    Administration.objects.bulk_update(moved_administrations, fields, batch_size=500)
    for target in targets:
        _update_conflict(target)
    if moved_administrations:
        details = {"administrations": sorted(administration.pk for administration in moved_administrations)}
        add_audit_entry(actor.organisation_id, actor.audit, BulkAuditAction.MOVED, details=details)
    return len(moved_administrations)


def _update_conflict(target: RemoteCompany) -> None:
    """Update the conflict of the company: the new connection may describe the company differently."""
    described = VendorIdentity(name=target.legal_name, number=target.number, country=target.country)
    update_conflict(target, described, restart_open_run=False)
    target.save()


def accept_change(actor: Actor, administration_id: int, field: str, value: str) -> str:
    """Store a value of the accounting system in the administration. Returns '' or the reason why not."""
    administration = Administration.objects.visible_to(actor).filter(pk=administration_id).first()
    if administration is None:
        return _("You do not have access to this administration.")
    if field in ("name", "legal_name"):
        administration.name = value[:300]
        administration.save(update_fields=["name"])
    elif field == "number":
        check = check_identity(country=administration.country, number=value)
        if check.problems:
            return str(check.problems[0].message)
        administration.number, administration.number_scheme, administration.number_note = (
            check.identity.number,
            check.identity.number_scheme,
            check.identity.number_note,
        )
        administration.no_number_reason = ""
        administration.save(update_fields=["number", "number_scheme", "number_note", "no_number_reason"])
        identity.handle_number_change(actor, administration)
    return ""


def other_register_name(actor: Actor, administration_id: int, number: str) -> str:
    """Return the register's name of a number where it is not the administration's, and was not confirmed."""
    administration = Administration.objects.visible_to(actor).filter(pk=administration_id).first()
    if administration is None:
        return ""
    identified = check_identity(country=administration.country, number=number).identity
    return identity.differing_register_name(administration, identified.number)


def confirm_register_name(actor: Actor, administration_id: int, number: str, name: str) -> None:
    """Record a person's word that the number is this company's, by the register's name."""
    administration = Administration.objects.visible_to(actor).filter(pk=administration_id).first()
    if administration is not None:
        identified = check_identity(country=administration.country, number=number).identity
        identity.confirm(actor, administration, name, identified.number)
