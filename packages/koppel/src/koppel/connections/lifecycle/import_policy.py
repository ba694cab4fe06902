"""Which companies others than the owner may import through a connection."""

from collections.abc import Iterable

from koppel.connections.health import add_timeline_event
from koppel.connections.lifecycle.audited_change import get_for_change, record_change
from koppel.connections.models import Release, RemoteCompany
from koppel.organisations.roles import Actor


def set_import_policy(actor: Actor, connection_id: int, which: Release, company_ids: Iterable[int] = ()) -> int:
    """Which companies others than the owner may import through this connection. How many are released now.

    New companies follow: released with ALL, kept back with SELECTED and NONE."""
    connection = get_for_change(actor, connection_id)
    companies = RemoteCompany.objects.filter(organisation_id=actor.organisation_id, connection=connection)
    requested_ids = set(company_ids) if which is Release.SELECTED else set()
    chosen = requested_ids & set(companies.values_list("pk", flat=True))
    companies.filter(pk__in=chosen).update(released=True)
    companies.exclude(pk__in=chosen).update(released=which is Release.ALL)
    connection.releases = which
    connection.save(update_fields=["releases"])
    count = companies.filter(released=True, listed_at__isnull=False).count()
    add_timeline_event(connection, "released", {"which": which.value, "count": count}, actor.name)
    record_change(actor, "released", connection, {"which": which.value, "companies": count})
    return count
