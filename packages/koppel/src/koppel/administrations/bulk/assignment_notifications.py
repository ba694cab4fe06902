"""Notify a person of administrations that a colleague assigned to them: one notification per change."""

from collections import defaultdict
from urllib.parse import urlencode

from django.urls import reverse

from koppel.administrations.event_types import AdministrationEvent
from koppel.administrations.models import Administration, BulkItem, BulkOperation, ItemState
from koppel.notifications.events.services import notify_members
from koppel.notifications.models import EventFacts


def notify_assigned(operation: BulkOperation) -> None:
    """Notify each member whom the operation added to administrations, except its author. In the caller's
    transaction.
    """
    organisation_id = operation.organisation_id
    items = BulkItem.objects.in_organisation(organisation_id).filter(
        operation=operation, state=ItemState.CHANGED
    )
    ids_by_member: dict[int, list[int]] = defaultdict(list)
    for item in items.only("administration_id", "before", "after"):
        had = item.before.get("people", {})
        for member, is_automatic in item.after.get("people", {}).items():
            if is_automatic is False and had.get(member) is None and int(member) != operation.membership_id:
                ids_by_member[int(member)].append(item.administration_id)
    for member_id, administration_ids in ids_by_member.items():
        names = Administration.objects.in_organisation(organisation_id).filter(pk__in=administration_ids)
        context: EventFacts = {
            "actor": operation.actor_name,
            "count": len(administration_ids),
            "name": names.values_list("name", flat=True).order_by("name").first() or "–",
        }
        link = f"{reverse('administrations:list')}?{urlencode({'user': 'me'})}"
        notify_members(organisation_id, AdministrationEvent.ASSIGNED, [member_id], context, link)
