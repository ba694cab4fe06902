"""Opening books that not everybody may see leaves word: restricted ones, and any that an operator of the installation opens."""

from datetime import timedelta

from django.utils import timezone

from koppel.administrations.models import Administration
from koppel.administrations.scope import administration_for
from koppel.administrations.shortcuts import administration_or_404
from koppel.audit.models import AuditEntry
from koppel.audit.services import record
from koppel.organisations.roles import Actor

AT_MOST_EVERY = timedelta(hours=1)
"""Turning the pages of one ledger is one opening, not a hundred."""
ACT = "books.opened"


def books_for(actor: Actor, administration_id: int) -> Administration:
    """The administration whose books the actor may read; that they are opened is noted. Raises `NotThere`."""
    one = administration_for(actor, administration_id)
    note_opened(actor, one)
    return one


def books_or_404(actor: Actor, administration_id: int) -> Administration:
    """`books_for`, for pages. Raises `Http404`."""
    one = administration_or_404(actor, administration_id)
    note_opened(actor, one)
    return one


def note_opened(actor: Actor, one: Administration) -> None:
    """In the caller's transaction; once an hour per person, administration and door."""
    if not (one.restricted or actor.is_operator):
        return
    recent = AuditEntry.objects.filter(
        organisation_id=actor.organisation_id,
        subject_kind="administration",
        subject_id=one.pk,
        at__gt=timezone.now() - AT_MOST_EVERY,
    )
    if not recent.filter(act=ACT, actor_id=actor.user_id, door=actor.door).exists():
        record(actor.organisation_id, actor.audit, ACT, subject=("administration", one.pk, one.name))
