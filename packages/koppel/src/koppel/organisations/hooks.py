"""What happens to a person's account in an organisation, and what settings may name that higher apps know.

Hooks are called in the organisation's scope and in the caller's transaction, which a listener's exception
undoes.
"""

from collections.abc import Mapping

from django.utils.functional import Promise

from koppel.kit.hooks import Hook, Registry, SingleHook
from koppel.organisations.models import IdentityProvider, Membership

membership_began = Hook[[Membership], None]()
"""Called when an account that exists already became a member, or may come in again."""

sign_in_linked = Hook[[Membership, IdentityProvider], None]()
"""Called when the identity provider can sign the person in from now on."""

resource_labels = Registry[str | Promise]()
"""What a person calls each kind of record that can be read, by its key."""

audience_events = SingleHook[[], Mapping[str, str | Promise]](dict)
"""Events of administrations, by name with their labels: settings say who is told of each. Touches no
database."""
