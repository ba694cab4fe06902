"""Queries of administrations besides the list (`list.queryset`)."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from django.db.models import Count, Exists, OuterRef, Q
from django.utils.translation import gettext as _

from koppel.administrations.hooks import ImportCounts
from koppel.administrations.models import Administration, Status
from koppel.audit.models import AuditEntry
from koppel.audit.subjects import SubjectKind
from koppel.connections.models import Connection, ConnectionState
from koppel.issues.models import Issue, needs_attention
from koppel.issues.queries import concerns_one_object, readable_condition
from koppel.kit.database.text_search import Folded, normalize_search
from koppel.kit.web.parameters import id_of
from koppel.organisations.errors import Refused
from koppel.organisations.models import Division, Membership, Template
from koppel.organisations.roles import Actor, Permission

PENDING_STATUSES = (Status.QUEUED, Status.CONFIGURING)
FAILING_STATUSES = (Status.FAILED, Status.BLOCKED)


def attention_condition(actor: Actor | None) -> Q:
    """Return the condition of administrations that need attention: their sync fails, or an issue is open that
    the actor (None: every member) may read.
    """
    issues = Issue.objects.filter(
        needs_attention(),
        readable_condition(actor) if actor else concerns_one_object(),
        organisation_id=OuterRef("organisation_id"),
        subject_kind=SubjectKind.ADMINISTRATION,
        subject_id=OuterRef("pk"),
    )
    return Q(status__in=FAILING_STATUSES) | Q(Exists(issues))


@dataclass(frozen=True, kw_only=True)
class ImportState:
    """The progress of an import: the number of administrations by status, of those that the actor may see."""

    id: int
    counts: Mapping[str, int]
    needing_attention: int = 0
    """Those whose sync fails or that have an open issue."""

    @property
    def total(self) -> int:
        return sum(self.counts.values())

    @property
    def active(self) -> int:
        return self.counts.get(Status.ACTIVE, 0)

    @property
    def open(self) -> int:
        return sum(self.counts.get(status, 0) for status in PENDING_STATUSES)

    @property
    def failing(self) -> int:
        return sum(self.counts.get(status, 0) for status in FAILING_STATUSES)

    @property
    def completed(self) -> int:
        return self.total - self.open

    @property
    def progress_counts(self) -> ImportCounts:
        return ImportCounts(completed=self.completed, open=self.open)

    def percent(self, read: Iterable[int]) -> int:
        """Return the percentage of the import that is done. `read` holds the percentages of the
        administrations being read.
        """
        return min(99 if self.open else 100, (100 * self.completed + sum(read)) // self.total)


def import_state(actor: Actor, import_id: int) -> ImportState | None:
    """Read the state of an import with one query. None when the actor may see nothing of it."""
    queryset = (
        Administration.objects.visible_to(actor).filter(import_id=import_id).values_list("status").order_by()
    )
    needing = Count("pk", filter=attention_condition(actor))
    rows = list(queryset.annotate(Count("pk"), needing=needing))
    if not rows:
        return None
    return ImportState(
        id=import_id,
        counts={status: count for status, count, _needing in rows},
        needing_attention=sum(needing for *_others, needing in rows),
    )


def assignment_choices(actor: Actor) -> dict[str, list[tuple[int, str]]]:
    """Return (id, name) pairs to filter by or assign; keys `divisions`, `templates`, `people`, and
    `connections`, which are empty for those who may not see connections.
    """
    people = (
        Membership.objects.for_actor(actor)
        .filter(is_active=True)
        .select_related("user")
        .order_by("user__name", "pk")
    )
    divisions = (
        Division.objects.for_actor(actor)
        .filter(archived_at=None)
        .order_by(Folded("name"))
        .values_list("pk", "name")
    )
    templates = (
        Template.objects.for_actor(actor)
        .filter(archived_at=None)
        .order_by(Folded("name"))
        .values_list("pk", "name")
    )
    connections = (
        Connection.objects.for_actor(actor).exclude(state=ConnectionState.REMOVED).order_by("account")
    )
    return {
        "divisions": list(divisions),
        "templates": list(templates),
        "people": [(member.pk, str(member.user)) for member in people],
        "connections": list(connections.values_list("pk", "account"))
        if actor.can(Permission.IMPORT_ADMINISTRATIONS)
        else [],
    }


def list_history(administration: Administration, limit: int = 200) -> list[AuditEntry]:
    """List the newest actions on this administration, those on many at once among them."""
    on_it = Q(subject_kind=SubjectKind.ADMINISTRATION, subject_id=administration.pk)
    on_many = Q(action__startswith="administrations.", details__administrations__contains=[administration.pk])
    queryset = AuditEntry.objects.filter(on_it | on_many, organisation_id=administration.organisation_id)
    return list(queryset.order_by("-at", "-pk")[:limit])


def get_visible(actor: Actor, administration_id: int | None) -> Administration | None:
    return (
        Administration.objects.visible_to(actor).filter(pk=administration_id).first()
        if administration_id
        else None
    )


def list_successors(actor: Actor, administration: Administration) -> list[Administration]:
    return list(
        Administration.objects.visible_to(actor).filter(predecessor=administration).order_by("sort_name")
    )


def resolve_reference(actor: Actor, reference: str, other_than: int) -> int:
    """Return the administration with this name, number or id. Raises `Refused` when none or several have
    it.
    """
    candidates = Administration.objects.visible_to(actor).exclude(pk=other_than)
    if (administration_id := id_of(reference)) is not None:
        exact = candidates.filter(
            Q(pk=administration_id) | Q(number=reference) | Q(client_number__iexact=reference)
        )
    else:
        exact = candidates.filter(
            Q(sort_name=normalize_search(reference))
            | Q(number__iexact=reference)
            | Q(client_number__iexact=reference)
        )
    matches = list(exact.values_list("pk", flat=True)[:2])
    if not matches:
        raise Refused(_("There is no administration with this name, number or client number."))
    if len(matches) > 1:
        raise Refused(_("More than one administration matches. Enter the client number."))
    return matches[0]
