"""Checks that the objects named in a filter exist and that the actor may see them: division, template,
connection, member or import.

A filter with an unknown part is refused for lists, files and bulk operations: without that part it would
select everything.
"""

from collections.abc import Callable, Iterable, Mapping

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from koppel.administrations.list.query import ISSUES, ListQuery, is_id
from koppel.administrations.queries import import_state
from koppel.audit.models import AuditEntry
from koppel.audit.subjects import SubjectKind
from koppel.connections.models import Connection, ConnectionState
from koppel.issues.issue_types import issue_types
from koppel.issues.models import Issue
from koppel.kit.web.parameters import UnknownParameter, UnknownPart, unknown_value
from koppel.organisations.models import Division, Membership, Template
from koppel.organisations.roles import Actor

Rows = Mapping[int, tuple[str, bool]]
"""Id to name, and whether a list can still be filtered by it."""
_GONE: Mapping[str, str | Promise] = {
    "division": _("The division “%(name)s” is archived."),
    "template": _("The template “%(name)s” is archived."),
    "connection": _("The connection “%(name)s” was removed."),
}
_ERASED: Mapping[str, str | Promise] = {
    "division": _("The division “%(name)s” no longer exists."),
    "template": _("The template “%(name)s” no longer exists."),
    "connection": _("The connection “%(name)s” no longer exists."),
    "user": _("The user “%(name)s” is no longer a member."),
}
_SUBJECTS = {
    "division": SubjectKind.DIVISION,
    "template": SubjectKind.TEMPLATE,
    "connection": SubjectKind.CONNECTION,
    "user": SubjectKind.PERSON,
}


def require_known(actor: Actor, query: ListQuery) -> None:
    """Raise `UnknownParameter` with every part that does not exist."""
    if parts := unknown_in(actor, query):
        raise UnknownParameter(parts)


def unknown_in(actor: Actor, query: ListQuery) -> list[UnknownPart]:
    """Return the parts of the filter whose object does not exist, is archived or removed, or is hidden from
    the actor.
    """
    parts = list(query.unknown)
    for key, rows_of in _ROWS.items():
        ids = [int(value) for value in query.multi_filters.get(key, ()) if is_id(value)]
        if ids:
            parts += _unknown_ids(actor, key, ids, rows_of(actor, ids))
    code = query.single_filters.get("issues", "any")
    if code not in ISSUES and not _is_issue(actor, code):
        parts.append(unknown_value("issues", code, (*ISSUES, *sorted(issue_types))))
    import_id = query.single_filters.get("import")
    if import_id and import_state(actor, int(import_id)) is None:
        parts.append(unknown_value("import", import_id))
    return parts


def _is_issue(actor: Actor, code: str) -> bool:
    """Return whether the code is one of an issue, also of one that an earlier version or another connector
    raised.
    """
    return code in issue_types or Issue.objects.for_actor(actor).filter(code=code).exists()


def _unknown_ids(actor: Actor, key: str, ids: Iterable[int], rows: Rows) -> Iterable[UnknownPart]:
    missing = [number for number in ids if number not in rows]
    names = _remembered_names(actor, key, missing) if missing else {}
    for number in ids:
        if number in names:
            yield UnknownPart(key, str(number), str(_ERASED[key]) % {"name": names[number]})
        elif number not in rows:
            yield unknown_value(key, str(number))
        elif not rows[number][1]:
            yield UnknownPart(key, str(number), str(_GONE[key]) % {"name": rows[number][0]})


def _remembered_names(actor: Actor, key: str, ids: Iterable[int]) -> Mapping[int, str]:
    """Return the last names of deleted objects in the audit log of this organisation, by id."""
    entries = AuditEntry.objects.filter(
        organisation_id=actor.organisation_id, subject_kind=_SUBJECTS[key], subject_id__in=ids
    )
    newest = entries.exclude(subject_name="").order_by("subject_id", "-pk").distinct("subject_id")
    return {number: name for number, name in newest.values_list("subject_id", "subject_name") if number}


def _divisions(actor: Actor, ids: Iterable[int]) -> Rows:
    divisions = Division.objects.for_actor(actor).filter(pk__in=ids)
    return {division.pk: (division.name, division.archived_at is None) for division in divisions}


def _templates(actor: Actor, ids: Iterable[int]) -> Rows:
    templates = Template.objects.for_actor(actor).filter(pk__in=ids)
    return {template.pk: (template.name, template.archived_at is None) for template in templates}


def _connections(actor: Actor, ids: Iterable[int]) -> Rows:
    connections = Connection.objects.for_actor(actor).filter(pk__in=ids)
    return {
        connection.pk: (connection.account, connection.state != ConnectionState.REMOVED)
        for connection in connections
    }


def _members(actor: Actor, ids: Iterable[int]) -> Rows:
    """Look up members, including former ones, whose administrations must be found to be handed over."""
    memberships = Membership.objects.for_actor(actor).filter(pk__in=ids)
    return dict.fromkeys(memberships.values_list("pk", flat=True), ("", True))


_ROWS: Mapping[str, Callable[[Actor, Iterable[int]], Rows]] = {
    "division": _divisions,
    "template": _templates,
    "connection": _connections,
    "user": _members,
}
