"""Named views of the list that a member saves; one of them may be the default."""

from django.utils.translation import gettext as _

from koppel.administrations.list.filter_checks import require_known
from koppel.administrations.list.query import parse_query_string
from koppel.administrations.models import SavedView
from koppel.kit.database.text import clean_text
from koppel.organisations.errors import Refused
from koppel.organisations.roles import Actor, Permission

VIEWS_MAX = 50


def list_views(actor: Actor) -> list[SavedView]:
    views = SavedView.objects.for_actor(actor).filter(membership_id=actor.membership_id)
    return list(views.order_by("name", "pk"))


def save_view(actor: Actor, name: str, query: str, *, is_default: bool = False) -> SavedView:
    """Keep a view under this name; a view of the same name is replaced. Raises `Refused`,
    `UnknownParameter`.
    """
    actor.require(Permission.VIEW)
    name = " ".join(clean_text(name).split())
    if not name:
        raise Refused(_("Enter a name."))
    views = SavedView.objects.for_actor(actor).filter(membership_id=actor.membership_id)
    if views.count() >= VIEWS_MAX and not views.filter(name=name).exists():
        raise Refused(_("You already have %d views. Remove one first.") % VIEWS_MAX)
    list_query = parse_query_string(query)
    require_known(actor, list_query)
    if is_default:
        views.update(is_default=False)
    view, _created = SavedView.objects.update_or_create(
        organisation_id=actor.organisation_id,
        membership_id=actor.membership_id,
        name=name,
        defaults={"query": list_query.to_query_string(), "is_default": is_default},
    )
    return view


def make_default(actor: Actor, view_id: int, *, is_default: bool) -> None:
    """Set whether the list opens with this view; only one view can be the default."""
    actor.require(Permission.VIEW)
    views = SavedView.objects.for_actor(actor).filter(membership_id=actor.membership_id)
    views.update(is_default=False)
    if is_default:
        views.filter(pk=view_id).update(is_default=True)


def remove_view(actor: Actor, view_id: int) -> None:
    actor.require(Permission.VIEW)
    views = SavedView.objects.for_actor(actor).filter(membership_id=actor.membership_id)
    views.filter(pk=view_id).delete()
