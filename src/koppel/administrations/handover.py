"""What a person holds of administrations, told before they leave and handed to a colleague with the rest of it."""

from django.db.models import Count, Q
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from koppel.administrations.models import Assignment, SavedView
from koppel.organisations import handover
from koppel.organisations.handover import Holding, Keeper
from koppel.organisations.policy import Actor


def register() -> None:
    handover.register(Keeper("assignments", gettext_lazy("Administrations"), _tell_assignments, _move_assignments))
    handover.register(Keeper("saved_views", gettext_lazy("Saved views"), _tell_views, _move_views))


def _tell_assignments(organisation_id: int, membership_id: int) -> list[Holding]:
    own = Assignment.objects.filter(organisation_id=organisation_id, membership_id=membership_id)
    count = own.count()
    words = ngettext("%(count)s administration is assigned", "%(count)s administrations are assigned", count)
    alone = _restricted_to_nobody_else(organisation_id, membership_id)
    consequence = ngettext(
        "%(count)s restricted administration is then visible to nobody.",
        "%(count)s restricted administrations are then visible to nobody.",
        alone,
    )
    url = f"{reverse('administrations:list')}?user={membership_id}"
    return [Holding(words % {"count": count}, count, url, consequence % {"count": alone} if alone else "")]


def _restricted_to_nobody_else(organisation_id: int, membership_id: int) -> int:
    others = Count("administration__assignments", filter=~Q(administration__assignments__membership_id=membership_id))
    own = Assignment.objects.filter(
        organisation_id=organisation_id, membership_id=membership_id, administration__restricted=True
    )
    return own.annotate(others=others).filter(others=0).count()


def _move_assignments(actor: Actor, leaver: int, heir: int) -> int:
    """The heir is added where not there already."""
    own = Assignment.objects.filter(organisation_id=actor.organisation_id)
    ids = list(own.filter(membership_id=leaver).values_list("administration_id", flat=True))
    added = [
        Assignment(organisation_id=actor.organisation_id, administration_id=one, membership_id=heir) for one in ids
    ]
    Assignment.objects.bulk_create(added, ignore_conflicts=True, batch_size=1000)
    own.filter(membership_id=leaver).delete()
    return len(ids)


def _tell_views(organisation_id: int, membership_id: int) -> list[Holding]:
    count = SavedView.objects.filter(organisation_id=organisation_id, membership_id=membership_id).count()
    words = ngettext("%(count)s saved view", "%(count)s saved views", count)
    return [Holding(words % {"count": count}, count)]


def _move_views(actor: Actor, leaver: int, heir: int) -> int:
    """Under the same name, with the leaver's beside it where the heir has one of that name."""
    own = SavedView.objects.filter(organisation_id=actor.organisation_id)
    taken = set(own.filter(membership_id=heir).values_list("name", flat=True))
    moved = list(own.filter(membership_id=leaver).select_related("membership__user"))
    for view in moved:
        length_max = SavedView._meta.get_field("name").max_length or 80
        if view.name in taken:
            view.name = _("%(view)s of %(person)s") % {"view": view.name, "person": view.membership.user}
        view.name, view.membership_id, view.is_default = view.name[:length_max], heir, False
        view.save(update_fields=["name", "membership_id", "is_default"])
    return len(moved)
