"""Hooks of accounts in an organisation, of settings values that higher apps define, and of links to their
pages.

Hooks are called in the organisation's scope and in the caller's transaction, which a listener's exception
rolls back.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from django.utils.functional import Promise

from koppel.kit.hooks import Hook, Registry, SingleHook
from koppel.kit.models import Quarantine
from koppel.organisations.models import EmailDomain, IdentityProvider, Membership, Organisation


@dataclass(frozen=True)
class AccountTab:
    """A tab on the pages of a person's own account; `url_name` takes no arguments."""

    label: str | Promise
    url_name: str


@dataclass(frozen=True, kw_only=True)
class PendingMessages:
    """Numbers of waiting emails and webhook messages."""

    emails: int = 0
    messages: int = 0


membership_began = Hook[[Membership], None]()
"""Called when an account that exists already became a member, or may come in again."""

sign_in_linked = Hook[[Membership, IdentityProvider], None]()
"""Called when the identity provider can sign the person in from now on."""

domain_record_missing = Hook[[EmailDomain], None]()
"""Called when a check of a verified domain missed its DNS record for the first time."""

domain_lapsed = Hook[[EmailDomain], None]()
"""Called when the organisation no longer owns the domain, because its DNS record is missing."""

sso_requirement_changed = Hook[[Organisation, str], None]()
"""Called when single sign-on became required, or no longer is, with the name of the person who changed it."""

quarantine_ended = SingleHook[[Quarantine], PendingMessages](lambda _period: PendingMessages())
"""Called in the installation's scope when a quarantine has ended: cancels what waited when it began, unless
its `sends_pending`, and returns the numbers.
"""

resource_labels = Registry[str | Promise]()
"""The label of each resource, by its key."""

audience_events = SingleHook[[], Mapping[str, str | Promise]](dict)
"""Events of administrations, by name with their labels: settings choose the recipients of each. Touches no
database.
"""

account_tabs = Registry[AccountTab]()
"""Of a person's own account, by what the page calls itself; in the order in which they were registered."""

activity_url = SingleHook[[int], str](lambda _user_id: "")
"""Called with a user's id: the page of what that person did here."""

administrations_url = SingleHook[[Mapping[str, object]], str](lambda _filters: "")
"""Called with filters of the list of administrations: its page with these."""

api_reference_url = SingleHook[[], str](lambda: "")
"""The page that describes the REST API."""
