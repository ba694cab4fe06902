"""Access checks: the administrations, divisions, templates and members that an actor may use.

A query of several administrations starts from `Administration.objects.visible_to(actor)`.
"""

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

import structlog
from django.db.models import BooleanField, Exists, F, Func, OuterRef, Q, QuerySet
from django.utils import timezone

from koppel.administrations.audit_actions import AdministrationAction
from koppel.administrations.errors import NoSuchAdministration, NoSuchChoice
from koppel.administrations.models import Administration
from koppel.audit.models import AuditEntry
from koppel.audit.services import add_audit_entry
from koppel.audit.subjects import Subject, SubjectKind
from koppel.kit.database.threads import in_separate_transaction
from koppel.kit.tenancy import organisation_scope
from koppel.kit.web.parameters import ID_MAX, unknown_value
from koppel.organisations.models import Division, Membership, Template
from koppel.organisations.roles import Actor

AUDIT_INTERVAL = timedelta(hours=1)
AUDITED_REFUSALS_MAX = 20
log = structlog.get_logger(__name__)


def restricted_company_ids(actor: Actor) -> Any:
    """Return the remote companies whose administration is restricted to others."""
    return Administration.objects.restricted_from(actor).values("remote_company_id")


def related_visible_condition(actor: Actor) -> Q:
    """Return the condition of issues with the fact `administration_ids` of which the actor sees one."""
    is_related = Func(
        F("pk"),
        OuterRef("context"),
        arg_joiner=" = ANY(string_to_array(",
        template="(%(expressions)s->>'administration_ids', ',')::bigint[]))",
        output_field=BooleanField(),
    )
    return Q(Exists(Administration.objects.visible_to(actor).filter(is_related)))


def administration_for(actor: Actor, administration_id: int) -> Administration:
    """Return the administration, with its connection, division and template. Raises `NoSuchAdministration`,
    after an audit entry: a request by number may be a search for hidden administrations.
    """
    queryset = Administration.objects.visible_to(actor).select_related(
        "connection", "division", "template", "remote_company"
    )
    administration = queryset.filter(pk=administration_id).first()
    if administration is None:
        raise audited_not_found(actor, administration_id)
    return administration


def get_locked(actor: Actor, administration_id: int) -> Administration:
    """Return the administration with its row locked, in the caller's transaction. Raises
    `NoSuchAdministration`, as `administration_for` does.
    """
    queryset = Administration.objects.visible_to(actor).filter(pk=administration_id)
    administration = queryset.select_for_update(of=("self",), no_key=True).first()
    if administration is None:
        raise audited_not_found(actor, administration_id)
    return administration


def require_assignable(
    actor: Actor, division_ids: Iterable[int], template_ids: Iterable[int], membership_ids: Iterable[int]
) -> None:
    """Require that all exist in the organisation, and that no division or template is archived.

    Raises `NoSuchChoice`, which names the others.
    """
    offered: tuple[tuple[str, QuerySet[Any], Iterable[int]], ...] = (
        ("division", Division.objects.for_actor(actor).filter(archived_at=None), division_ids),
        ("template", Template.objects.for_actor(actor).filter(archived_at=None), template_ids),
        ("member", Membership.objects.for_actor(actor), membership_ids),
    )
    unknown = [
        unknown_value(name, str(missing_id)).message
        for name, queryset, ids in offered
        for missing_id in sorted(
            set(ids) - set(queryset.filter(pk__in=set(ids)).values_list("pk", flat=True))
        )
    ]
    if unknown:
        raise NoSuchChoice(" ".join(unknown))


def audited_not_found(actor: Actor, administration_id: int) -> NoSuchAdministration:
    """Return the error to raise, after an audit entry about a request for a hidden administration.

    At most `AUDITED_REFUSALS_MAX` an hour for one person, so that a person who tries many ids does not bury
    other entries.
    """
    in_separate_transaction(lambda: _audit_refused_access(actor, min(administration_id, ID_MAX)))
    return NoSuchAdministration()


def _audit_refused_access(actor: Actor, administration_id: int) -> None:
    organisation_id = actor.organisation_id
    with organisation_scope(organisation_id):
        recent = AuditEntry.objects.filter(
            organisation_id=organisation_id,
            action=AdministrationAction.ACCESS_REFUSED,
            actor_id=actor.audit.id,
            at__gt=timezone.now() - AUDIT_INTERVAL,
        )
        if len(recent.values_list("pk")[:AUDITED_REFUSALS_MAX]) < AUDITED_REFUSALS_MAX:
            subject = Subject(SubjectKind.ADMINISTRATION, administration_id)
            add_audit_entry(
                organisation_id, actor.audit, AdministrationAction.ACCESS_REFUSED, subject=subject
            )
            return
    log.warning("administration_not_found", administration=administration_id, user=actor.user_id)
