"""Links to pages of higher apps, which register where they are; '' when none did."""

from django import template

from koppel.connections import hooks

register = template.Library()


@register.simple_tag
def new_connection_url() -> str:
    """Return the page on which a person makes a connection."""
    return hooks.new_connection_url()


@register.simple_tag
def import_url(connection_id: int | None = None) -> str:
    """Return the page on which a connection's companies are imported; without a connection, one where it is
    chosen.
    """
    return hooks.import_url(connection_id)


@register.simple_tag
def administration_url(administration_id: int) -> str:
    """Return the page of an administration."""
    return hooks.administration_url(administration_id)
