"""What people and programs were told of an administration that is erased: it is named nowhere any more."""

from django.db.models import Q

from koppel.notifications.events.context import facts_seen
from koppel.notifications.models import Delivery, Happening, Notice, WebhookDelivery


def forget_administration(organisation_id: int, administration_id: int) -> None:
    """Happenings about it alone go, with their notices and mails; of others its name and reason. In scope."""
    key = str(administration_id)
    about = Q(administrations__has_key=key) | Q(about_kind="administration", about_id=administration_id)
    for one in Happening.objects.select_for_update().filter(about, organisation_id=organisation_id).order_by("pk"):
        gone = one.administrations.pop(key, None)
        WebhookDelivery.objects.filter(organisation_id=organisation_id, happening=one).delete()
        notices = Notice.objects.filter(organisation_id=organisation_id, happening=one)
        if not one.administrations:
            Delivery.objects.filter(organisation_id=organisation_id, notice__in=notices).delete()
            notices.delete()
            one.delete()
            continue
        one.save(update_fields=["administrations"])
        for notice in notices:
            _unname(notice, one, str((gone or {}).get("name", "")))


def _unname(notice: Notice, happening: Happening, name: str) -> None:
    """The notice as it would read without it; who was told of fewer is still told of no more."""
    told = notice.facts.get("names", "")
    if not name or not _is_named(name, told):
        return
    left = {int(key) for key, own in happening.administrations.items() if _is_named(str(own.get("name", "")), told)}
    count = int(notice.facts.get("count", 1)) - 1
    if left and count > 0:
        notice.facts = {**facts_seen(happening, frozenset(left)), "count": count}
        notice.save(update_fields=["facts"])
    else:
        Delivery.objects.filter(organisation_id=notice.organisation_id, notice=notice).delete()
        notice.delete()


def _is_named(name: str, told: str) -> bool:
    """Whether the list of names holds this one whole; it may be the beginning of another's."""
    return f", {name}, " in f", {told.removesuffix(' …')}, "
