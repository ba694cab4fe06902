"""Named groups, the base of divisions and templates: a unique name, archiving and merging."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext as _

from koppel.audit.audit_actions import AuditAction
from koppel.audit.services import add_audit_entry
from koppel.audit.subjects import Subject, SubjectKind
from koppel.kit.database.text import clean_text
from koppel.organisations.audit_actions import DivisionAction, TemplateAction
from koppel.organisations.errors import NoSuchGroup, Refused
from koppel.organisations.groups.hooks import GroupKind
from koppel.organisations.models import Division, Template
from koppel.organisations.roles import Actor, Permission

Group = TypeVar("Group", Division, Template)


class GroupSummary(Protocol):
    """The fields of every group in a list."""

    @property
    def id(self) -> int: ...

    @property
    def name(self) -> str: ...

    @property
    def is_archived(self) -> bool: ...


SummaryType = TypeVar("SummaryType", bound=GroupSummary)


@dataclass(frozen=True, kw_only=True)
class GroupType(Generic[Group]):
    """`missing` and `merged_with_itself` are the messages of refusals."""

    kind: GroupKind
    model: type[Group]
    actions: type[DivisionAction] | type[TemplateAction]
    missing: str | Promise
    merged_with_itself: str | Promise

    def get(self, actor: Actor, group_id: int) -> Group:
        """Return the group. Raises `NoSuchGroup`: not there and of another firm look alike."""
        group = self._find(actor, group_id)
        if group is None:
            raise NoSuchGroup(self.missing)
        return group

    def _find(self, actor: Actor, group_id: int) -> Group | None:
        return self.model.objects.for_actor(actor).filter(pk=group_id).first()

    def save(
        self,
        actor: Actor,
        group_id: int | None,
        name: str,
        *,
        archived: bool | None,
        values: Mapping[str, Any],
    ) -> int:
        """Create, change or archive a group; return its id. `archived` None: it stays as it is. Raises
        `Refused`.
        """
        actor.require(Permission.MANAGE_PEOPLE)
        name = clean_text(name)
        if not name:
            raise Refused(_("Enter a name."), field="name")
        groups = self.model.objects.for_actor(actor)
        if groups.filter(name__iexact=name).exclude(pk=group_id or 0).exists():
            raise Refused(_("“%s” already exists.") % name, field="name")
        columns = {**values, "name": name}
        if archived is not None:
            columns["archived_at"] = timezone.now() if archived else None
        try:
            with transaction.atomic():
                if group_id is None:
                    created = self.model.objects.create(organisation_id=actor.organisation_id, **columns)
                    self.add_audit_entry(actor, self.actions.CREATED, (created.pk, name), {})
                    return int(created.pk)
                groups.filter(pk=group_id).update(**columns)
        except IntegrityError:  # a colleague, or a second click, was a moment earlier
            raise Refused(_("“%s” already exists.") % name, field="name") from None
        self.add_audit_entry(
            actor, self.actions.CHANGED, (group_id, name), {} if archived is None else {"archived": archived}
        )
        return group_id

    def set_archived(self, actor: Actor, group_id: int, *, archived: bool) -> None:
        """Archive the group, or make it available again; nothing else changes. Raises `Refused`."""
        actor.require(Permission.MANAGE_PEOPLE)
        self.save(actor, group_id, self.get(actor, group_id).name, archived=archived, values={})

    def require_mergeable(self, actor: Actor, from_id: int, into_id: int) -> tuple[Group, Group]:
        """Return the emptied group and the remaining one. Raises `Refused` when they cannot be merged."""
        actor.require(Permission.MANAGE_PEOPLE)
        source, target = self.get(actor, from_id), self._find(actor, into_id)
        if target is None:
            raise Refused(self.missing, field="into")
        if source.pk == target.pk:
            raise Refused(self.merged_with_itself, field="into")
        if target.archived_at:
            raise Refused(_("“%s” is archived.") % target.name, field="into")
        return source, target

    def archive_merged(
        self, actor: Actor, source: Group, target: Group, details: Mapping[str, object]
    ) -> None:
        """Archive the emptied group; the audit log names the other one."""
        groups = self.model.objects.for_actor(actor).filter(pk=source.pk)
        groups.update(archived_at=timezone.now())
        self.add_audit_entry(
            actor,
            self.actions.MERGED,
            (source.pk, source.name),
            {"into": target.pk, "into_name": target.name, **details},
        )

    def add_audit_entry(
        self, actor: Actor, action: AuditAction, group: tuple[int, str], details: Mapping[str, object]
    ) -> None:
        """Add an entry to the audit log about this group, (id, name)."""
        subject = Subject(SubjectKind(self.kind), *group)
        add_audit_entry(actor.organisation_id, actor.audit, action, subject=subject, details=details)


def sort_archived_last(summaries: Iterable[SummaryType]) -> list[SummaryType]:
    """Return the summaries by name, archived ones last."""
    return sorted(summaries, key=lambda summary: (summary.is_archived, summary.name.casefold()))


def summary_of(summaries: Iterable[SummaryType], group_id: int) -> SummaryType:
    """Return the summary of a group that exists."""
    return next(summary for summary in summaries if summary.id == group_id)
