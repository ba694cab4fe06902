"""Which companies a connection reaches: asked from the vendor, kept as remote companies."""

from collections.abc import Mapping, Sequence

from django.utils import timezone

from koppel.connections import runtime
from koppel.connections.identity import note_listed
from koppel.connections.models import Grant, RemoteCompany
from koppel.connections.services import own_connection
from koppel.connections.sessions import Runtime, listing_session
from koppel.connector.contract import Company
from koppel.connector.registry import connector
from koppel.kit.tenancy import organisation_scope
from koppel.organisations.policy import Actor, Permission


def refresh_companies(actor: Actor, connection_id: int) -> int:
    """Ask the vendor which companies the connection's grants reach, and keep the list. Outside any transaction.

    How many there are. Raises `ConnectorError` and `NoSuchConnection`."""
    actor.require(Permission.IMPORT)
    with organisation_scope(actor.organisation_id):
        connection = own_connection(actor, connection_id)
        grants = list(Grant.objects.filter(connection=connection, lost_at=None).values_list("pk", flat=True))

    async def listing(made: Runtime) -> dict[int, Sequence[Company]]:
        found: dict[int, Sequence[Company]] = {}
        for grant_id in grants:
            session = await listing_session(made, actor.organisation_id, grant_id)
            found[grant_id] = await connector(connection.connector).list_companies(session)
        return found

    by_grant = runtime.run(listing)
    with organisation_scope(actor.organisation_id):
        count = _keep_companies(actor.organisation_id, connection.pk, by_grant)
        _ask_for_descriptions(actor.organisation_id, connection.pk)
    return count


def _keep_companies(organisation_id: int, connection_id: int, by_grant: Mapping[int, Sequence[Company]]) -> int:
    listed_at, kept = timezone.now(), 0
    note_listed(organisation_id, connection_id, [one for found in by_grant.values() for one in found], by_grant)
    for grant_id, companies in by_grant.items():
        rows = [
            RemoteCompany(
                organisation_id=organisation_id, connection_id=connection_id, grant_id=grant_id,
                external_id=one.external_id, name=one.name[:300] or one.external_id, code=one.code[:100],
                routing=dict(one.routing), listed_at=listed_at,
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


def _ask_for_descriptions(organisation_id: int, connection_id: int) -> None:
    from koppel.connections.tasks import describe_companies  # noqa: PLC0415 - tasks import this module

    describe_companies.defer(organisation_id=organisation_id, connection_id=connection_id)
