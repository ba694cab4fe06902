"""Hooks for higher apps: where issues are shown, and who may read them."""

from django.db.models import Q

from koppel.kit.hooks import SingleHook
from koppel.organisations.roles import Actor

issues_url = SingleHook[[], str](lambda: "")
"""The page of all open issues."""

related_visible = SingleHook[[Actor], Q]()
"""Called with an actor: the condition of issues with the fact `administration_ids`, one of which the actor
sees.

No default: without a listener nothing may be shown.
"""
