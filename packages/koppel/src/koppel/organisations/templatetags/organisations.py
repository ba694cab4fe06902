"""Links to pages of higher apps, which register them; '' when none did."""

from django import template
from django.urls import reverse
from django.utils.functional import Promise

from koppel.organisations import hooks

register = template.Library()


@register.simple_tag
def account_tabs() -> list[tuple[str, str | Promise, str]]:
    """Return (key, label, URL) of the tabs that other apps add to a person's own account."""
    return [(key, tab.label, reverse(tab.url_name)) for key, tab in hooks.account_tabs.items()]


@register.simple_tag
def activity_url(user_id: int) -> str:
    """Return the URL of what a person did in this organisation."""
    return hooks.activity_url(user_id)


@register.simple_tag
def administrations_url(**filters: object) -> str:
    """Return the URL of the list of administrations with these filters."""
    return hooks.administrations_url(filters)


@register.simple_tag
def api_reference_url() -> str:
    """Return the URL of the page that describes the REST API."""
    return hooks.api_reference_url()
