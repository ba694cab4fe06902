"""The import policy: the companies of a connection that members other than its owner may import."""

from django.utils.translation import gettext as _

from koppel.connections.audit_actions import ConnectionAction
from koppel.connections.errors import ConsentRefused
from koppel.connections.health import add_timeline_event
from koppel.connections.inputs import ImportPolicyInput
from koppel.connections.lifecycle.audited_change import lock_for_change, record_change
from koppel.connections.models import ConsentRefusal, ImportPolicy, RemoteCompany, TimelineKind
from koppel.organisations.roles import Actor


def set_import_policy(actor: Actor, connection_id: int, chosen: ImportPolicyInput) -> int:
    """Set which companies others than the owner may import through this connection. Returns how many they may
    now. Raises `ConsentRefused` for a company that the connection does not have.

    Companies listed later follow the policy: importable with ALL, not with SELECTED and NONE.
    """
    connection, policy = lock_for_change(actor, connection_id), chosen.policy
    companies = RemoteCompany.objects.for_actor(actor).filter(connection=connection)
    requested_ids = set(chosen.companies)
    if unknown_ids := requested_ids - set(companies.values_list("pk", flat=True)):
        raise ConsentRefused(
            ConsentRefusal.UNKNOWN_COMPANY,
            _("The connection has no company with the number %s.") % min(unknown_ids),
        )
    selected_ids = requested_ids if policy is ImportPolicy.SELECTED else set()
    companies.filter(pk__in=selected_ids).update(importable_by_others=True)
    companies.exclude(pk__in=selected_ids).update(importable_by_others=policy is ImportPolicy.ALL)
    connection.import_policy = policy
    connection.save(update_fields=["import_policy"])
    count = companies.filter(importable_by_others=True, is_listed=True).count()
    add_timeline_event(
        connection, TimelineKind.IMPORT_POLICY_CHANGED, {"policy": policy.value, "count": count}, actor.name
    )
    record_change(
        actor,
        ConnectionAction.IMPORT_POLICY_CHANGED,
        connection,
        {"policy": policy.value, "companies": count},
    )
    return count
