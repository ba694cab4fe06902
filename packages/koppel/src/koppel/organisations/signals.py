"""What happens to a person's account in an organisation. Sent in the organisation's scope, in the caller's transaction."""

from django.dispatch import Signal

membership_began = Signal()
"""`membership`: an account that exists already became a member, or may come in again."""

sign_in_linked = Signal()
"""`membership`, `provider`: the identity provider can sign the person in from now on."""
