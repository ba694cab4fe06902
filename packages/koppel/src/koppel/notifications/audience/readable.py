"""The one place that decides what a reader may see of stored notifications.

A notification keeps facts by administration. They are limited to what the reader sees at the time of reading:
an administration that was restricted since, or from which the reader was unassigned, is not named any more.
"""

from collections.abc import Collection, Iterable

from django.db.models import BooleanField, Exists, F, Func, OuterRef, Q, QuerySet

from koppel.notifications.audience.hooks import readable_administrations
from koppel.notifications.audience.visible_context import message_context
from koppel.notifications.event_types import event_types
from koppel.notifications.models import DeliverySettings, EventContext, Notification
from koppel.organisations.models import Membership
from koppel.organisations.roles import Actor, Role

STAND_IN_HOPS_MAX = 3
"""As far as `resolve_stand_in` follows."""


def actor_of(membership: Membership) -> Actor:
    """Return the member as the reader of an email."""
    return Actor(
        organisation_id=membership.organisation_id,
        membership_id=membership.pk,
        user_id=membership.user_id,
        name="",
        role=Role(membership.role),
    )


def readable_condition(actor: Actor, represented_ids: Collection[int] | None = None) -> Q:
    """Return the condition of notifications of which the reader may see something.

    `represented_ids`: the reader with those whose stand-in they are, if the caller knows them.
    """
    if represented_ids is None:
        represented_ids = _represented_members(actor)
    is_affected = Func(
        F("pk"),
        OuterRef("administrations"),
        arg_joiner=" = ANY(ARRAY(SELECT jsonb_object_keys(",
        template="(%(expressions)s)::bigint)))",
        output_field=BooleanField(),
    )
    visible = readable_administrations(actor, represented_ids).filter(is_affected)
    nameless = [code for code, definition in event_types.items() if definition.names_are_optional]
    return Q(administrations={}) | Q(event_type__in=nameless) | Q(Exists(visible))


def readable_contexts(actor: Actor, notifications: Iterable[Notification]) -> dict[int, EventContext]:
    """Return the contexts of the messages by notification; one of which the reader may see nothing is
    absent.
    """
    rows = list(notifications)
    ids = {key for notification in rows for key in notification.administrations}
    visible: set[int] = set()
    if ids:
        readable = readable_administrations(actor, _represented_members(actor))
        visible = set(readable.filter(pk__in=ids).values_list("pk", flat=True))
    contexts = {}
    for notification in rows:
        affected = notification.administrations
        readable_facts = {key: facts for key, facts in affected.items() if key in visible}
        definition = event_types.get(notification.event_type)
        if readable_facts or not affected or (definition and definition.names_are_optional):
            contexts[notification.pk] = message_context(notification.context, readable_facts)
    return contexts


def represented_members(actor: Actor) -> "QuerySet[DeliverySettings]":
    """Return the settings of those whose stand-in the actor is, at first hand."""
    return DeliverySettings.objects.for_actor(actor).filter(stand_in=actor.membership_id)


def _represented_members(actor: Actor) -> set[int]:
    """Return the member with those whose stand-in they are, also at second hand."""
    members, newest = {actor.membership_id}, {actor.membership_id}
    for _hop in range(STAND_IN_HOPS_MAX):
        absent = DeliverySettings.objects.for_actor(actor).filter(stand_in__in=newest)
        newest = set(absent.values_list("membership_id", flat=True)) - members
        if not newest:
            break
        members |= newest
    return members
