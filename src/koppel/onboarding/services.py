"""The wizard's last act: import what was chosen, once."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import connection as database

from koppel.administrations.services import NewAdministration, import_companies
from koppel.company_registers.identity import Identity
from koppel.onboarding.flow import flow_for
from koppel.onboarding.models import Flow, FlowState, Import
from koppel.onboarding.steps.choose import rows
from koppel.onboarding.steps.identify import answers, identity_of
from koppel.onboarding.steps.same_company import confirmed_identity
from koppel.organisations.roles import Actor
from koppel.sync.runs.services import request_first_runs

FINISH_LOCK = 0x0B0A


@dataclass(frozen=True)
class Finished:
    """`skipped`: how many of the chosen somebody else had imported meanwhile, or cannot be reached any more."""

    made: Import
    skipped: int = 0


def finish(actor: Actor, token: UUID, *, complete_later: bool = False) -> Finished | None:
    """Import what was chosen and queue the first syncs, once: asked again it answers with the same import.

    None when a row lacks its identity; with `complete_later` (nobody attends) only when what was given is wrong: the others
    become issues, and the list finds them. Raises `NotThere` for a division, template or person that is gone."""
    flow = flow_for(actor, token, lock=True)
    if flow.state == FlowState.FINISHED and flow.result is not None:
        return Finished(flow.result)
    found = answers(flow)
    identities = {one.company.pk: identity_of(one, complete_later=complete_later) for one in found}
    confirmed = {one.company.pk: confirmed_identity(one.doubt, flow.confirmed) for one in found}
    if flow.connection is None or not found or any(one is None for one in identities.values()):
        return None
    _one_at_a_time(actor)
    wanted = {key: one for key, one in identities.items() if one is not None}
    made = Import.objects.create(
        organisation_id=actor.organisation_id, connection=flow.connection, membership_id=actor.membership_id, count=0
    )
    ids = _import(actor, flow, made, wanted, confirmed)
    request_first_runs(actor, ids)
    made.count = len(ids)
    made.save(update_fields=["count"])
    flow.state, flow.result = FlowState.FINISHED, made
    flow.save(update_fields=["state", "result"])
    return Finished(made, len(wanted) - len(ids))


def _import(
    actor: Actor, flow: Flow, made: Import, wanted: dict[int, Identity], confirmed: dict[int, dict[str, Any]]
) -> list[int]:
    """Each through the connection that reaches it."""
    by_connection: dict[int, list[NewAdministration]] = {}
    for row in rows(actor, flow):
        key = row.company.pk
        if row.can_be_chosen and key in wanted:
            by_connection.setdefault(row.company.connection_id, []).append(_new(flow, key, wanted[key], confirmed[key]))
    return [
        one
        for connection_id, companies in by_connection.items()
        for one in import_companies(actor, connection_id, made.pk, companies)
    ]


def _one_at_a_time(actor: Actor) -> None:
    """Two people who finish together see each other's administrations: a company that two accounts reach is imported once."""
    with database.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", [FINISH_LOCK, actor.organisation_id])


def _new(flow: Flow, company_id: int, identity: Identity, confirmed: dict[str, Any]) -> NewAdministration:
    own = flow.assignments.get(str(company_id), {})
    seen_name, seen_number = flow.seen.get(str(company_id), ("", ""))
    return NewAdministration(
        remote_company_id=company_id,
        number=identity.number,
        number_scheme=identity.number_scheme,
        number_note=identity.number_note,
        no_number_reason=identity.no_number_reason,
        sector=identity.sector,
        sector_scheme=identity.sector_scheme,
        confirmed_identity=confirmed,
        division_id=own.get("division"),
        template_id=own.get("template"),
        membership_ids=tuple(own.get("users", ())),
        seen_name=seen_name,
        seen_number=seen_number,
    )
