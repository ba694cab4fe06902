"""Tabs of an administration and links to pages of higher apps, registered by the apps that own them."""

from typing import Any

from django import template
from django.urls import reverse
from django.utils.functional import Promise

from koppel.administrations import hooks
from koppel.administrations.bulk import ActionForm, BulkAction, get_action
from koppel.administrations.display_state import display_state
from koppel.administrations.hooks import ordered_tabs
from koppel.administrations.list.cell_markup import time_markup
from koppel.administrations.models import Administration, Favourite, Status
from koppel.connections.queries import reconnect_hint
from koppel.connector.registry import system_title
from koppel.organisations.roles import Actor, Permission

register = template.Library()


@register.simple_tag
def administration_tabs(administration_id: int) -> list[tuple[str, str | Promise, str]]:
    """Return (key, label, address) of the registered tabs."""
    return [(key, tab.label, reverse(tab.url_name, args=[administration_id])) for key, tab in ordered_tabs()]


register.simple_tag(time_markup)


@register.simple_tag
def card_url(url_name: str, administration_id: int) -> str:
    return reverse(url_name, args=[administration_id])


@register.simple_tag
def may_activate(administration: Administration, actor: Actor) -> bool:
    """Return whether the page of the administration offers to activate it."""
    return _may_stop(administration, actor) and administration.status == Status.DEACTIVATED


@register.simple_tag
def may_deactivate(administration: Administration, actor: Actor) -> bool:
    """Return whether the page of the administration offers to deactivate it."""
    is_stoppable = administration.activated_at is not None and administration.status != Status.DEACTIVATED
    return _may_stop(administration, actor) and is_stoppable


@register.simple_tag
def bulk_action(code: str) -> BulkAction[Any]:
    return get_action(code)


@register.simple_tag
def action_form(action: BulkAction[Any]) -> ActionForm:
    """Return the empty fields of a bulk action without lists of options."""
    return action.form(prefix=action.code)


def _may_stop(administration: Administration, actor: Actor) -> bool:
    return actor.can(Permission.IMPORT_ADMINISTRATIONS) and administration.client_left_on is None


@register.simple_tag
def is_equal(first: object, second: object) -> bool:
    return first == second


@register.simple_tag
def connection_system(administration: Administration) -> str:
    """Return the name of the accounting system; '' when its connector is not installed."""
    return system_title(administration.connection.connector)


@register.simple_tag
def is_favourite(administration_id: int, actor: Actor) -> bool:
    """Return whether the administration is a favourite of the actor."""
    favourites = Favourite.objects.for_actor(actor).filter(membership_id=actor.membership_id)
    return favourites.filter(administration_id=administration_id).exists()


@register.simple_tag
def sync_url(administration_id: int) -> str:
    """Return the page of the administration's syncs; '' when no app has one."""
    return hooks.sync_url(administration_id)


@register.simple_tag
def start_sync_url(administration_id: int) -> str:
    """Return where a form posts to start a sync; '' when no app can."""
    return hooks.start_sync_url(administration_id)


@register.simple_tag
def state_of(administration: Administration, actor: Actor) -> str:
    """Return the display state of the administration."""
    return display_state(actor, administration)


@register.simple_tag
def sync_obstacle(administration: Administration) -> str:
    """Return why the administration's connection cannot sync now, or ''."""
    return reconnect_hint(administration.connection, administration.remote_company)


@register.simple_tag
def import_progress_url(import_id: int) -> str:
    """Return the page on which an import is followed; '' when no app has one."""
    return hooks.import_progress_url(import_id)


@register.simple_tag
def export_url(administration_id: int) -> str:
    """Return the URL of the export of all books; '' when no app writes one."""
    return hooks.export_url(administration_id)
