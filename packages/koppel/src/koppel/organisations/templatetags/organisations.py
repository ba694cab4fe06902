"""Links to pages of higher apps, which register them ('' when none did), and the table of roles."""

from dataclasses import dataclass
from typing import Any

from django import template
from django.urls import reverse
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from koppel.organisations import hooks
from koppel.organisations.roles import PERMISSIONS, SEES_ALL, Permission, Role

register = template.Library()

CAPABILITIES = (
    (_("Open books, export, use the API"), Permission.VIEW),
    (_("Sync now, change the settings of an administration"), Permission.CHANGE_ADMINISTRATIONS),
    (_("Import, assign and activate administrations"), Permission.IMPORT_ADMINISTRATIONS),
    (_("Create connections and sign in again"), Permission.MANAGE_CONNECTIONS),
    (_("People, divisions, templates"), Permission.MANAGE_PEOPLE),
    (_("Organisation, security, webhooks, activity"), Permission.MANAGE_ORGANISATION),
)
"""The permissions of roles, in the words of the page about people."""


@dataclass(frozen=True, kw_only=True)
class RoleCell:
    """`scope` is which administrations the role sees; '' in rows that say yes or no."""

    role: str | Promise
    is_permitted: bool
    scope: str | Promise = ""


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


@register.inclusion_tag("organisations/parts/role_table.html")
def role_table() -> dict[str, Any]:
    """Show what each role may do, as `PERMISSIONS` has it."""
    scopes = [
        RoleCell(role=role.label, is_permitted=True, scope=_("all") if role in SEES_ALL else _("assigned"))
        for role in Role
    ]
    rows = [(_("See administrations"), scopes)]
    for label, permission in CAPABILITIES:
        rows.append(
            (
                label,
                [RoleCell(role=role.label, is_permitted=role in PERMISSIONS[permission]) for role in Role],
            )
        )
    return {"roles": Role.labels, "rows": rows}
