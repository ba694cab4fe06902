"""Tabs of an administration, registered by the apps that own them."""

from django import template
from django.urls import reverse
from django.utils.functional import Promise

from koppel.administrations.hooks import ordered_tabs
from koppel.administrations.list import rendering
from koppel.administrations.models import Favourite
from koppel.organisations.roles import Actor

register = template.Library()


@register.simple_tag
def administration_tabs(administration_id: int) -> list[tuple[str, str | Promise, str]]:
    """(key, label, address) of the registered tabs."""
    return [(key, tab.label, reverse(tab.url_name, args=[administration_id])) for key, tab in ordered_tabs()]


register.simple_tag(rendering.moment)


@register.simple_tag
def card_url(url_name: str, administration_id: int) -> str:
    return reverse(url_name, args=[administration_id])


@register.simple_tag
def is_favourite(administration_id: int, actor: Actor) -> bool:
    """Whether the actor marked it as a favourite."""
    favourites = Favourite.objects.filter(organisation_id=actor.organisation_id, membership_id=actor.membership_id)
    return favourites.filter(administration_id=administration_id).exists()
