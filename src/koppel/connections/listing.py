"""Which companies a connection reaches: asked from the vendor, kept as remote companies."""

import asyncio
from collections.abc import Mapping, Sequence

from django.db.models import Q
from django.utils import timezone

from koppel.connections import runtime
from koppel.connections.dependants import adopt
from koppel.connections.identity import note_listed
from koppel.connections.models import Connection, Grant, Release, RemoteCompany
from koppel.connections.registrations import mode_of
from koppel.connections.services import after_reconnect, own_connection
from koppel.connections.sessions import Runtime, listing_session
from koppel.connector.contract import Company
from koppel.connector.errors import ConnectorError
from koppel.connector.registry import connector
from koppel.kit.tenancy import organisation_scope
from koppel.organisations.policy import Actor, Permission

AT_A_TIME = 10


def refresh_companies(actor: Actor, connection_id: int) -> int:
    """Ask the vendor which companies the connection's grants reach, and keep the list. Outside any transaction.

    A grant for one company is asked once, when it is new: what it reaches cannot change. How many companies were listed
    now. Raises `ConnectorError` when nothing could be listed, and `NoSuchConnection`."""
    actor.require(Permission.IMPORT)
    with organisation_scope(actor.organisation_id):
        connection = own_connection(actor, connection_id)
        mode = mode_of(connection.app)
        known = Q(companies__isnull=False) & ~Q(company_id="")
        live = Grant.objects.filter(connection=connection, lost_at=None, is_candidate=False)
        grants = (
            [] if mode and mode.by_company_id else list(live.exclude(known).values_list("pk", flat=True).distinct())
        )

    async def listing(made: Runtime) -> list[Sequence[Company] | ConnectorError]:
        turns = asyncio.Semaphore(AT_A_TIME)

        async def one(grant_id: int) -> Sequence[Company] | ConnectorError:
            async with turns:
                try:
                    session = await listing_session(made, actor.organisation_id, grant_id)
                    return await connector(connection.connector).list_companies(session)
                except ConnectorError as error:
                    return error

        return await asyncio.gather(*(one(grant_id) for grant_id in grants))

    answers = dict(zip(grants, runtime.run(listing), strict=True)) if grants else {}
    errors = [one for one in answers.values() if isinstance(one, ConnectorError)]
    if errors and len(errors) == len(answers):
        raise errors[0]
    by_grant = {key: one for key, one in answers.items() if not isinstance(one, ConnectorError)}
    with organisation_scope(actor.organisation_id):
        count = _keep_companies(actor.organisation_id, connection, by_grant)
        if adopt(actor, connection.pk):
            after_reconnect(actor, connection.pk)
        ask_for_descriptions(actor.organisation_id, connection.pk)
    return count


def _keep_companies(organisation_id: int, connection: Connection, by_grant: Mapping[int, Sequence[Company]]) -> int:
    listed_at, kept, connection_id = timezone.now(), 0, connection.pk
    note_listed(organisation_id, connection_id, [one for found in by_grant.values() for one in found], by_grant)
    for grant_id, companies in by_grant.items():
        rows = [
            RemoteCompany(
                organisation_id=organisation_id, connection_id=connection_id, grant_id=grant_id,
                external_id=one.external_id, name=one.name[:300] or one.external_id, code=one.code[:100],
                routing=dict(one.routing), listed_at=listed_at, released=connection.releases == Release.ALL,
            )
            for one in {one.external_id: one for one in companies}.values()
        ]  # fmt: skip
        RemoteCompany.objects.bulk_create(
            rows,
            update_conflicts=True,
            unique_fields=["organisation", "connection", "external_id"],
            update_fields=["grant", "name", "code", "routing", "listed_at"],
            batch_size=1000,
        )
        kept += len(rows)
    gone = RemoteCompany.objects.filter(organisation_id=organisation_id, connection_id=connection_id)
    gone.filter(grant_id__in=list(by_grant)).exclude(listed_at=listed_at).update(listed_at=None)
    return kept


def ask_for_descriptions(organisation_id: int, connection_id: int) -> None:
    """A worker asks the vendor who the companies are that were not described lately."""
    from koppel.connections.tasks import describe_companies  # noqa: PLC0415 - tasks import this module

    describe_companies.defer(organisation_id=organisation_id, connection_id=connection_id)
