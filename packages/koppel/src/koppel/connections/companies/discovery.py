"""List the companies that a connection reaches at the vendor, and store them as remote companies."""

import asyncio
from collections.abc import Collection, Mapping, Sequence

from django.db.models import Q
from django.utils import timezone

from koppel.connections.app_registrations.services import mode_of
from koppel.connections.companies.changes import companies_to_describe, reconcile_list
from koppel.connections.companies.descriptions import describe_all
from koppel.connections.companies.listing import list_vendor_companies
from koppel.connections.hooks import attach_waiting, connection_reconnected
from koppel.connections.models import Connection, Grant, ImportPolicy, RemoteCompany
from koppel.connections.queries import get_connection
from koppel.connections.sessions import Runtime, call_vendor_blocking, listing_session
from koppel.connector.contract import Company
from koppel.connector.errors import ConnectorError
from koppel.kit.database.threads import run_in_thread
from koppel.kit.jobs import enqueue
from koppel.kit.tenancy import organisation_scope
from koppel.organisations.roles import Actor, Permission

CONCURRENT_CALLS_MAX = 10


def sync_company_list(actor: Actor, connection_id: int) -> int:
    """List the companies that the connection's grants reach, and store the list. Outside any transaction.

    A grant for one company is listed once, when it is new: what it reaches cannot change. Returns how many
    companies were listed now. Raises `ConnectorError` when no grant could be listed, and `NoSuchConnection`.
    """
    actor.require(Permission.IMPORT_ADMINISTRATIONS)
    with organisation_scope(actor.organisation_id):
        connection = get_connection(actor, connection_id)
        mode = mode_of(connection.app)
        listed_before = Q(companies__isnull=False) & ~Q(company_id="")
        live = Grant.objects.filter(connection=connection, invalid_since=None, is_pending_transfer=False)
        grants = (
            []
            if mode and mode.is_by_company_id
            else list(live.exclude(listed_before).values_list("pk", flat=True).distinct())
        )

    results, unverified_ids = _list_companies(actor.organisation_id, connection, grants)
    errors = [result for result in results.values() if isinstance(result, ConnectorError)]
    if errors and len(errors) == len(results):
        raise errors[0]
    by_grant = {
        grant_id: result for grant_id, result in results.items() if not isinstance(result, ConnectorError)
    }
    with organisation_scope(actor.organisation_id):
        count = _upsert_companies(actor.organisation_id, connection, by_grant, unverified_ids)
        if attach_waiting(actor, connection.pk):
            connection_reconnected(actor, connection.pk)
        enqueue_descriptions(actor.organisation_id, connection.pk)
    return count


_ListingResult = Sequence[Company] | ConnectorError


def _list_companies(
    organisation_id: int, connection: Connection, grants: Sequence[int]
) -> tuple[dict[int, _ListingResult], set[str]]:
    """Return the companies or the error of each grant, and the external ids of companies that could not be
    described although their name changed.
    """

    async def listing(open_runtime: Runtime) -> tuple[dict[int, _ListingResult], set[str]]:
        semaphore = asyncio.Semaphore(CONCURRENT_CALLS_MAX)

        async def list_grant(grant_id: int) -> _ListingResult:
            async with semaphore:
                try:
                    session = await listing_session(open_runtime, organisation_id, grant_id)
                    return await list_vendor_companies(connection.connector, session)
                except ConnectorError as error:
                    return error

        results = dict(zip(grants, await asyncio.gather(*map(list_grant, grants)), strict=True))
        by_grant = {
            grant_id: result for grant_id, result in results.items() if not isinstance(result, ConnectorError)
        }
        # Before the list is stored: an imported company with a new name may be another company.
        companies_to_verify = await run_in_thread(
            lambda: _companies_to_verify(organisation_id, connection.pk, by_grant)
        )
        described = await describe_all(
            open_runtime,
            organisation_id,
            [(company_id, connection.connector) for company_id in companies_to_verify],
        )
        return results, {
            external_id
            for company_id, external_id in companies_to_verify.items()
            if company_id not in described
        }

    return call_vendor_blocking(organisation_id, listing) if grants else ({}, set())


def _companies_to_verify(
    organisation_id: int, connection_id: int, by_grant: Mapping[int, Sequence[Company]]
) -> dict[int, str]:
    """Return the imported companies that the list suggests may be other companies: id → external id."""
    with organisation_scope(organisation_id):
        return companies_to_describe(organisation_id, connection_id, _all_companies(by_grant), by_grant)


def _all_companies(by_grant: Mapping[int, Sequence[Company]]) -> list[Company]:
    return [company for companies in by_grant.values() for company in companies]


def _upsert_companies(
    organisation_id: int,
    connection: Connection,
    by_grant: Mapping[int, Sequence[Company]],
    unverified_ids: Collection[str],
) -> int:
    """Store the list and return how many companies it has.

    A company that waits for a person's decision, or is in `unverified_ids`, keeps its name and code.
    """
    listed_at, count, connection_id = timezone.now(), 0, connection.pk
    remote_companies = RemoteCompany.objects.in_organisation(organisation_id).filter(
        connection_id=connection_id
    )
    conflicting_companies = remote_companies.filter(conflict_detected_at__isnull=False)
    frozen_ids = {*unverified_ids, *conflicting_companies.values_list("external_id", flat=True)}
    reconcile_list(organisation_id, connection_id, _all_companies(by_grant), by_grant, frozen_ids)
    for grant_id, companies in by_grant.items():
        rows = [
            RemoteCompany(
                organisation_id=organisation_id,
                connection_id=connection_id,
                grant_id=grant_id,
                external_id=company.external_id,
                name=company.name[:300] or company.external_id,
                code=company.code[:100],
                routing=dict(company.routing),
                is_listed=True,
                last_listed_at=listed_at,
                importable_by_others=connection.import_policy == ImportPolicy.ALL,
            )
            for company in {company.external_id: company for company in companies}.values()
        ]
        _store([company for company in rows if company.external_id not in frozen_ids], "name", "code")
        _store([company for company in rows if company.external_id in frozen_ids])
        count += len(rows)
    remote_companies.filter(grant_id__in=list(by_grant)).exclude(last_listed_at=listed_at).update(
        is_listed=False
    )
    return count


def _store(rows: Sequence[RemoteCompany], *names: str) -> None:
    RemoteCompany.objects.bulk_create(
        rows,
        update_conflicts=True,
        unique_fields=["organisation", "connection", "external_id"],
        update_fields=["grant", *names, "routing", "is_listed", "last_listed_at"],
        batch_size=1000,
    )


def enqueue_descriptions(organisation_id: int, connection_id: int) -> None:
    """Enqueue a job that describes the companies that were not described lately."""
    enqueue("connections.describe_companies", organisation_id=organisation_id, connection_id=connection_id)
