"""Helpers for connections: import companies, request syncs, read the timeline."""

from typing import TYPE_CHECKING, Any

from koppel.connections.consent.attempts import begin_attempt, complete_attempt, store_authorisation_response
from koppel.connections.models import Connection, ConsentPurpose, RemoteCompany, TimelineEvent
from koppel.kit.tenancy import organisation_scope
from tests.fixtures.stack import Connected, wait_until

if TYPE_CHECKING:
    from koppel.administrations.models import Administration
    from koppel.organisations.roles import Actor


def companies(firm: Connected) -> list[RemoteCompany]:
    """Return the companies of the connection in the sandbox's own order."""
    with organisation_scope(firm.actor.organisation_id):
        return list(RemoteCompany.objects.filter(connection_id=firm.connection.pk).order_by("pk"))


def import_first(firm: Connected, count: int = 1, *, sync: bool = False) -> "list[Administration]":
    """Import the first `count` companies; with `sync`, queue their first runs."""
    from koppel.administrations.models import Administration
    from koppel.administrations.services import NewAdministration, import_companies
    from koppel.company_registers.sectors.sections import SCHEME
    from koppel.sync.runs.services import request_first_runs

    who = {"no_number_reason": "test_demo", "sector": "K", "sector_scheme": SCHEME}
    requested = [NewAdministration(remote_company_id=one.pk, **who) for one in companies(firm)[:count]]
    with organisation_scope(firm.actor.organisation_id):
        ids = import_companies(firm.actor, firm.connection.pk, 1, requested)
        if sync:
            request_first_runs(firm.actor, ids)
        return list(
            Administration.objects.filter(pk__in=ids)
            .select_related("remote_company")
            .order_by("remote_company_id")
        )


def wait_until_described(firm: Connected) -> None:
    """Wait until the worker has asked the vendor who the listed companies are: it begins as soon as they are
    listed.
    """
    wait_until(lambda: all(one.described_at for one in companies(firm)))


def reload_connection(firm: Connected) -> Connection:
    """The connection as it is stored at this moment."""
    with organisation_scope(firm.actor.organisation_id):
        return Connection.objects.get(pk=firm.connection.pk)


def timeline_of(firm: Connected) -> list[TimelineEvent]:
    """Oldest first."""
    with organisation_scope(firm.actor.organisation_id):
        return list(TimelineEvent.objects.filter(connection_id=firm.connection.pk).order_by("at", "pk"))


def event_kinds(firm: Connected) -> list[str]:
    """What the timeline tells, oldest first."""
    return [one.kind for one in timeline_of(firm)]


def statuses(firm: Connected) -> set[str]:
    """Of all administrations of the firm."""
    from koppel.administrations.models import Administration

    with organisation_scope(firm.actor.organisation_id):
        return set(Administration.objects.values_list("status", flat=True))


def sign_in(
    firm: Connected, purpose: str, *, by: "Actor | None" = None, anew: bool = False, **consent: Any
) -> None:
    """Somebody signs in for the connection, or `anew` for none that exists, through the sandbox's real forms;
    nothing after the exchange of the code.
    """
    person, connection_id = by or firm.actor, None if anew else firm.connection.pk
    with organisation_scope(firm.actor.organisation_id):
        url = begin_attempt(
            person, firm.app.pk, ConsentPurpose(purpose), "/connections/", connection_id=connection_id
        )
    authorisation_response = firm.sandbox.sign_in(url, **consent)
    attempt_id = store_authorisation_response(authorisation_response)
    assert attempt_id is not None
    complete_attempt(person, attempt_id)
