"""What happens in an accounting firm between a sign-in and a test's question: companies are imported, runs asked for."""

from typing import TYPE_CHECKING

from koppel.connections.models import Connection, ConnectionEvent, RemoteCompany
from koppel.kit.tenancy import organisation_scope
from tests.fixtures.stack import Connected

if TYPE_CHECKING:
    from koppel.administrations.models import Administration


def companies(made: Connected) -> list[RemoteCompany]:
    """What the connection lists, in the sandbox's own order."""
    with organisation_scope(made.actor.organisation_id):
        return list(RemoteCompany.objects.filter(connection_id=made.connection.pk).order_by("pk"))


def imported(made: Connected, count: int = 1, *, sync: bool = False) -> "list[Administration]":
    """The first `count` companies become administrations; with `sync` their first runs are queued."""
    from koppel.administrations.models import Administration
    from koppel.administrations.services import NewAdministration, import_companies
    from koppel.sync.services import request_first_runs

    wanted = [NewAdministration(remote_company_id=one.pk) for one in companies(made)[:count]]
    with organisation_scope(made.actor.organisation_id):
        ids = import_companies(made.actor, made.connection.pk, 1, wanted)
        if sync:
            request_first_runs(made.actor, ids)
        return list(Administration.objects.filter(pk__in=ids).order_by("remote_company_id"))


def now_of(made: Connected) -> Connection:
    """The connection as it is stored at this moment."""
    with organisation_scope(made.actor.organisation_id):
        return Connection.objects.get(pk=made.connection.pk)


def timeline_of(made: Connected) -> list[ConnectionEvent]:
    """Oldest first."""
    with organisation_scope(made.actor.organisation_id):
        return list(ConnectionEvent.objects.filter(connection_id=made.connection.pk).order_by("at", "pk"))


def kinds(made: Connected) -> list[str]:
    """What the timeline tells, oldest first."""
    return [one.kind for one in timeline_of(made)]
