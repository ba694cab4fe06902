"""Tabs of an administration and links to pages of higher apps, registered by the apps that own them."""

from django import template
from django.urls import reverse
from django.utils.functional import Promise

from koppel.administrations import hooks
from koppel.administrations.hooks import ordered_tabs
from koppel.administrations.list.cell_markup import moment
from koppel.administrations.models import Administration, Favourite
from koppel.connections.queries import reconnect_hint
from koppel.organisations.roles import Actor

register = template.Library()


@register.simple_tag
def administration_tabs(administration_id: int) -> list[tuple[str, str | Promise, str]]:
    """Return (key, label, address) of the registered tabs."""
    return [(key, tab.label, reverse(tab.url_name, args=[administration_id])) for key, tab in ordered_tabs()]


register.simple_tag(moment)


@register.simple_tag
def card_url(url_name: str, administration_id: int) -> str:
    return reverse(url_name, args=[administration_id])


@register.simple_tag
def is_favourite(administration_id: int, actor: Actor) -> bool:
    """Return whether the actor marked it as a favourite."""
    favourites = Favourite.objects.for_actor(actor).filter(membership_id=actor.membership_id)
    return favourites.filter(administration_id=administration_id).exists()


@register.simple_tag
def sync_url(administration_id: int) -> str:
    """Return the page on which its syncs are followed; '' when no app has one."""
    return hooks.sync_url(administration_id)


@register.simple_tag
def start_sync_url(administration_id: int) -> str:
    """Return where a form posts to start a sync; '' when no app can."""
    return hooks.start_sync_url(administration_id)


@register.simple_tag
def sync_obstacle(administration: Administration) -> str:
    """Return why its connection cannot sync now, such as a sign-in that is needed; '' when it can."""
    return reconnect_hint(administration.connection, administration.remote_company)


@register.simple_tag
def import_progress_url(import_id: int) -> str:
    """Return the page on which an import is followed; '' when no app has one."""
    return hooks.import_progress_url(import_id)


@register.simple_tag
def export_url(administration_id: int) -> str:
    """Return the address of a file of all its books; '' when no app writes one."""
    return hooks.export_url(administration_id)
