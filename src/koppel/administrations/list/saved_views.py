"""A person's own named views of the list, one of which may be what the list opens with."""

from django.utils.translation import gettext as _

from koppel.administrations.list.filter_checks import require_known
from koppel.administrations.list.query import asked_of_text
from koppel.administrations.models import SavedView
from koppel.organisations.errors import Refused
from koppel.organisations.roles import Actor, Permission

VIEWS_MAX = 50


def views_of(actor: Actor) -> list[SavedView]:
    own = SavedView.objects.filter(organisation_id=actor.organisation_id, membership_id=actor.membership_id)
    return list(own.order_by("name", "pk"))


def save_view(actor: Actor, name: str, query: str, *, is_default: bool = False) -> SavedView:
    """Keep a view under this name; a view of the same name is replaced. Raises `Refused`, `UnknownParameter`."""
    actor.require(Permission.SEE)
    name = " ".join(name.replace("\0", "").split())[:120]
    if not name:
        raise Refused(_("A name is needed."))
    own = SavedView.objects.filter(organisation_id=actor.organisation_id, membership_id=actor.membership_id)
    if own.count() >= VIEWS_MAX and not own.filter(name=name).exists():
        raise Refused(_("You have %d views already. Remove one first.") % VIEWS_MAX)
    asked = asked_of_text(query)
    require_known(actor, asked)
    if is_default:
        own.update(is_default=False)
    view, _made = SavedView.objects.update_or_create(
        organisation_id=actor.organisation_id,
        membership_id=actor.membership_id,
        name=name,
        defaults={"query": asked.query(), "is_default": is_default},
    )
    return view


def make_default(actor: Actor, view_id: int, *, is_default: bool) -> None:
    """What the list opens with; of the views only one can be."""
    actor.require(Permission.SEE)
    own = SavedView.objects.filter(organisation_id=actor.organisation_id, membership_id=actor.membership_id)
    own.update(is_default=False)
    if is_default:
        own.filter(pk=view_id).update(is_default=True)


def remove_view(actor: Actor, view_id: int) -> None:
    actor.require(Permission.SEE)
    own = SavedView.objects.filter(organisation_id=actor.organisation_id, membership_id=actor.membership_id)
    own.filter(pk=view_id).delete()
