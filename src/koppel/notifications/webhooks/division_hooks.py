"""When a division is merged into another, webhooks that are for it are for the other one."""

from collections.abc import Mapping
from typing import Any

from koppel.notifications.models import Webhook
from koppel.organisations.groups.hooks import Effects, Group, register_group_dependants
from koppel.organisations.roles import Actor


class Webhooks:
    """They hang on divisions, but are no administrations, so nothing is counted."""

    def counts(self, organisation_id: int, group: Group) -> Mapping[int, int]:
        return {}

    def move(self, actor: Actor, group: Group, from_id: int, into_id: int) -> int:
        own = Webhook.objects.filter(organisation_id=actor.organisation_id, divisions__contains=[from_id])
        for one in own if group is Group.DIVISION else ():
            one.divisions = sorted({into_id if key == from_id else key for key in one.divisions})
            one.save(update_fields=["divisions"])
        return 0

    def effects(self, organisation_id: int, template_id: int, settings: Mapping[str, Any]) -> Effects:
        return Effects()


def register() -> None:
    register_group_dependants(Webhooks())
