"""Handover of what a departing member owns here: assignments, assigned issues and saved views."""

import itertools
from collections.abc import Collection

from django.db.models import Exists, OuterRef, Q, QuerySet
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from koppel.administrations.issues.queries import subject_names, visible_issues
from koppel.administrations.models import Administration, Assignment, SavedView
from koppel.issues.models import Issue
from koppel.organisations.models import Membership
from koppel.organisations.people.hooks import OwnedItem, OwnershipProvider
from koppel.organisations.roles import Actor, Role


def _list_assignments(actor: Actor, membership_id: int) -> list[OwnedItem]:
    assignments = Assignment.objects.for_actor(actor).filter(membership_id=membership_id)
    if actor.role != Role.ADMINISTRATOR:
        assignments = assignments.filter(administration__in=Administration.objects.visible_to(actor))
    count = assignments.count()
    label = ngettext("%(count)s administration assigned", "%(count)s administrations assigned", count)
    alone = _sole_assignments(assignments.filter(administration__restricted=True), membership_id).count()
    consequence = ngettext(
        "%(count)s restricted administration will have no user with access.",
        "%(count)s restricted administrations will have no user with access.",
        alone,
    )
    url = f"{reverse('administrations:list')}?user={membership_id}"
    return [
        OwnedItem(
            label=label % {"count": count},
            count=count,
            url=url,
            consequence=consequence % {"count": alone} if alone else "",
        )
    ]


def _sole_assignments(assignments: "QuerySet[Assignment]", membership_id: int) -> "QuerySet[Assignment]":
    """Return the assignments whose administration has no other member who may sign in."""
    live = Q(membership__expires_at=None) | Q(membership__expires_at__gt=timezone.now())
    other_assignments = Assignment.objects.filter(
        live,
        organisation_id=OuterRef("organisation_id"),
        administration=OuterRef("administration"),
        membership__is_active=True,
    )
    return assignments.exclude(Exists(other_assignments.exclude(membership_id=membership_id)))


def _move_assignments(actor: Actor, departing_member_id: int, successor_id: int) -> int:
    """Assign the successor where not assigned yet: manually where the departing member was, otherwise
    automatically.

    A restricted administration is handed over if the actor is assigned to it; otherwise only by an
    Administrator, once the departing member has no access and no other member has. So a handover never gives
    the actor access.
    """
    assignments = Assignment.objects.for_actor(actor).filter(membership_id=departing_member_id)
    ids = _movable_ids(
        actor, departing_member_id, has_left=not Membership.objects.get(pk=departing_member_id).is_live
    )
    present_assignments = assignments.filter(administration_id__in=ids).order_by("administration_id")
    added = [
        Assignment(
            organisation_id=actor.organisation_id,
            administration_id=administration_id,
            membership_id=successor_id,
            automatic=automatic,
        )
        for administration_id, automatic in present_assignments.values_list("administration_id", "automatic")
    ]
    Assignment.objects.bulk_create(added, ignore_conflicts=True, batch_size=1000)
    manual_ids = [assignment.administration_id for assignment in added if not assignment.automatic]
    existing = Assignment.objects.for_actor(actor).filter(membership_id=successor_id)
    existing.filter(administration_id__in=manual_ids).update(automatic=False)
    assignments.filter(administration_id__in=ids).delete()
    return len(ids)


def _movable_ids(actor: Actor, departing_member_id: int, *, has_left: bool) -> set[int]:
    assignments = Assignment.objects.for_actor(actor).filter(membership_id=departing_member_id)
    ids = set(
        assignments.filter(administration__in=Administration.objects.visible_to(actor)).values_list(
            "administration_id", flat=True
        )
    )
    if actor.role == Role.ADMINISTRATOR and has_left:
        orphaned = _sole_assignments(assignments.filter(administration__restricted=True), departing_member_id)
        ids |= set(orphaned.values_list("administration_id", flat=True))
    return ids


def _preview_assignments(
    actor: Actor, departing_member_id: int, _successor_id: int, deactivate: bool
) -> list[tuple[int, str]]:
    """Return id and name of the administrations that `_move_assignments` would move. One that the actor may
    not see is returned without its name.
    """
    has_left = deactivate or not Membership.objects.get(pk=departing_member_id).is_live
    ids = _movable_ids(actor, departing_member_id, has_left=has_left)
    names = dict(
        Administration.objects.visible_to(actor)
        .filter(pk__in=ids)
        .order_by("sort_name")
        .values_list("pk", "name")
    )
    return [
        *names.items(),
        *(
            (administration_id, _("a restricted administration"))
            for administration_id in sorted(ids - names.keys())
        ),
    ]


def _list_saved_views(actor: Actor, membership_id: int) -> list[OwnedItem]:
    count = SavedView.objects.for_actor(actor).filter(membership_id=membership_id).count()
    label = ngettext("%(count)s saved view", "%(count)s saved views", count)
    return [OwnedItem(label=label % {"count": count}, count=count)]


def _preview_views(
    actor: Actor, departing_member_id: int, _successor_id: int, _deactivate: bool
) -> list[tuple[int, str]]:
    views = SavedView.objects.for_actor(actor).filter(membership_id=departing_member_id)
    return list(views.order_by("name").values_list("pk", "name"))


def _move_views(actor: Actor, departing_member_id: int, successor_id: int) -> int:
    """Move the saved views. If the successor has a view of that name, add the departing member's name, and a
    number if that name exists too.
    """
    views = SavedView.objects.for_actor(actor)
    used_names = set(views.filter(membership_id=successor_id).values_list("name", flat=True))
    moved_views = list(views.filter(membership_id=departing_member_id).select_related("membership__user"))
    for view in moved_views:
        view.name, view.membership_id, view.is_default = _free_name(view, used_names), successor_id, False
        used_names.add(view.name)
        view.save(update_fields=["name", "membership_id", "is_default"])
    return len(moved_views)


def _free_name(view: SavedView, used_names: Collection[str]) -> str:
    length_max = SavedView._meta.get_field("name").max_length or 80
    if view.name not in used_names:
        return view.name
    with_person = _("%(view)s of %(person)s") % {"view": view.name, "person": view.membership.user}
    numbered = (f"{with_person[: length_max - 5]} {number}" for number in itertools.count(2))
    return next(
        name for name in itertools.chain([with_person[:length_max]], numbered) if name not in used_names
    )


def _assigned_issues(actor: Actor, membership_id: int) -> "QuerySet[Issue]":
    return visible_issues(actor).filter(assignee_id=membership_id, resolved_at=None)


def _list_issues(actor: Actor, membership_id: int) -> list[OwnedItem]:
    count = _assigned_issues(actor, membership_id).count()
    label = ngettext("%(count)s issue assigned", "%(count)s issues assigned", count)
    return [
        OwnedItem(
            label=label % {"count": count},
            count=count,
            url=f"{reverse('issues:list')}?assignee={membership_id}",
        )
    ]


def _preview_issues(
    actor: Actor, departing_member_id: int, _successor_id: int, _deactivate: bool
) -> list[tuple[int, str]]:
    issues = list(_assigned_issues(actor, departing_member_id).order_by("pk"))
    names = subject_names(issues)
    return [(issue.pk, names.get(issue.subject, "")) for issue in issues]


def _move_issues(actor: Actor, departing_member_id: int, successor_id: int) -> int:
    return _assigned_issues(actor, departing_member_id).update(assignee_id=successor_id)


PROVIDERS = {
    "assignments": OwnershipProvider(
        label=gettext_lazy("Administrations"),
        list_owned=_list_assignments,
        move=_move_assignments,
        preview=_preview_assignments,
    ),
    "issues": OwnershipProvider(
        label=gettext_lazy("Issues"), list_owned=_list_issues, move=_move_issues, preview=_preview_issues
    ),
    "saved_views": OwnershipProvider(
        label=gettext_lazy("Saved views"),
        list_owned=_list_saved_views,
        move=_move_views,
        preview=_preview_views,
    ),
}
