"""Predecessors of administrations, and possible duplicates of a client."""

from django.utils.translation import gettext as _

from koppel.administrations.access import get_locked
from koppel.administrations.audit_actions import AdministrationAction
from koppel.administrations.errors import NoSuchAdministration
from koppel.administrations.identity.shared_numbers import update_shared_number_issues
from koppel.administrations.inputs import PredecessorInput
from koppel.administrations.models import Administration
from koppel.audit.services import add_audit_entry
from koppel.audit.subjects import Subject, SubjectKind
from koppel.kit.database.locks import LockName, lock_until_commit
from koppel.organisations.errors import Refused
from koppel.organisations.roles import Actor, Permission


def set_predecessor(actor: Actor, administration_id: int, predecessor_input: PredecessorInput) -> None:
    """Set the administration that this one continues, because it was renamed, merged or moved to another
    system.

    Raises `NoSuchAdministration`, and `Refused` for itself or a circle.
    """
    actor.require(Permission.IMPORT_ADMINISTRATIONS)
    lock_until_commit(LockName.PREDECESSORS, actor.organisation_id)
    administration, predecessor_id = get_locked(actor, administration_id), predecessor_input.administration
    if (
        predecessor_id is not None
        and not Administration.objects.visible_to(actor).filter(pk=predecessor_id).exists()
    ):
        raise NoSuchAdministration
    if predecessor_id is not None and administration.pk in _predecessor_chain(
        actor.organisation_id, predecessor_id
    ):
        raise Refused(_("That administration is already linked as a continuation of this one."))
    before = administration.predecessor_id
    administration.predecessor_id = predecessor_id
    administration.save(update_fields=["predecessor"])
    update_shared_number_issues(actor.organisation_id, [administration.pk])
    details = {"before": before, "after": predecessor_id}
    subject = Subject(kind=SubjectKind.ADMINISTRATION, id=administration.pk, name=administration.name)
    add_audit_entry(
        actor.organisation_id,
        actor.audit,
        AdministrationAction.PREDECESSOR_SET,
        subject=subject,
        details=details,
    )


def list_duplicates(actor: Actor, administration: Administration) -> list[Administration]:
    """Return up to ten other visible administrations with the same company number, without predecessors and
    successors.
    """
    if not administration.number:
        return []
    same = (
        Administration.objects.visible_to(actor)
        .filter(number=administration.number, number_scheme=administration.number_scheme)
        .exclude(pk=administration.pk)
    )
    return list(
        same.exclude(pk=administration.predecessor_id or 0)
        .exclude(predecessor=administration)
        .order_by("sort_name")[:10]
    )


def _predecessor_chain(organisation_id: int, administration_id: int) -> set[int]:
    """Return the ids of the administration and of all its predecessors."""
    chain: set[int] = set()
    current: int | None = administration_id
    while current is not None and current not in chain:
        chain.add(current)
        queryset = Administration.objects.in_organisation(organisation_id).filter(pk=current)
        current = queryset.values_list("predecessor_id", flat=True).first()
    return chain
