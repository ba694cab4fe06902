"""Notify a person of a sign-in from a browser that was not seen before: an impostor would need one."""

import hashlib
from typing import Any

from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from koppel.kit.tenancy import installation_scope, organisation_scope
from koppel.kit.web.client_ip import client_ip
from koppel.notifications.event_types import EventType, NotificationEvent
from koppel.notifications.events.services import notify_members
from koppel.notifications.models import KnownDevice
from koppel.organisations.models import Membership, User

BROWSERS = ("Edg", "OPR", "Firefox", "Chrome", "Safari")
NAMES = {"Edg": "Edge", "OPR": "Opera"}
SYSTEMS = {
    "Windows": "Windows",
    "Android": "Android",
    "iPhone": "iPhone",
    "iPad": "iPad",
    "Mac OS": "macOS",
    "Linux": "Linux",
}


EVENT_TYPES = (
    EventType(
        NotificationEvent.NEW_SIGN_IN,
        _(
            "New sign-in to your account: %(browser)s, address %(address)s. If this was not you, "
            "change your password."
        ),
        label=_("Sign-in from a new browser"),
        is_momentary=True,
        is_private=True,
    ),
)


def alert_new_device(request: HttpRequest | None = None, user: User | None = None, **_more: Any) -> None:
    """Notify the person of a sign-in from a new browser. Receives the signal of every sign-in."""
    if request is None or user is None:
        return
    agent, address = request.META.get("HTTP_USER_AGENT", ""), client_ip(request)
    sso_organisation_id = request.session.get("sso_organisation_id")
    with installation_scope("sign-in: known browsers"):
        active_memberships = Membership.objects.filter(user=user, is_active=True)
        if sso_organisation_id is not None:
            # It is a browser of that organisation's; to the others it is as unknown as before.
            active_memberships = active_memberships.filter(organisation_id=sso_organisation_id)
        memberships = list(active_memberships.values_list("organisation_id", "pk"))
    for organisation_id, membership_id in memberships:
        with organisation_scope(organisation_id):
            _record_device(organisation_id, membership_id, agent, address)


def _record_device(organisation_id: int, membership_id: int, agent: str, address: str) -> None:
    """Store the device and notify of a new one; not of the first, on which the password was chosen."""
    browser = browser_of(agent)
    devices = KnownDevice.objects.in_organisation(organisation_id).filter(membership_id=membership_id)
    is_first = not devices.exists()
    _device, is_new = KnownDevice.objects.update_or_create(
        organisation_id=organisation_id,
        membership_id=membership_id,
        fingerprint=_fingerprint(browser, address),
    )
    if is_new and not is_first:
        facts = {"browser": browser, "address": address or "–"}
        notify_members(
            organisation_id,
            NotificationEvent.NEW_SIGN_IN,
            [membership_id],
            facts,
            reverse("account_change_password"),
        )


def browser_of(agent: str) -> str:
    """Return a name such as `Firefox, Windows`, without the version, or every update would be a new
    browser.
    """
    browser = next((name for name in BROWSERS if f"{name}/" in agent), "")
    system = next((name for mark, name in SYSTEMS.items() if mark in agent), "")
    return ", ".join(filter(None, (NAMES.get(browser, browser), system))) or agent[:60] or "–"


def _fingerprint(browser: str, address: str) -> str:
    """Return a hash of browser and network: another address of the same network is no news."""
    network = address.rpartition(".")[0] if "." in address else ":".join(address.split(":")[:4])
    return hashlib.sha256(f"{browser}\n{network}".encode()).hexdigest()
