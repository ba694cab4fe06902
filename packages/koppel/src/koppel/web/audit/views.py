"""The page of the audit log: actor, address and change of each action; also as CSV. Exports are audited."""

from collections.abc import Mapping
from typing import Any, cast

from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import FileResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.utils import timezone
from django.utils.translation import gettext as _

from koppel.administrations.audit_log.reading import Redactor, list_entries, redactor_for
from koppel.administrations.audit_log.rendering import AuditRenderer
from koppel.administrations.models import Administration
from koppel.audit.audit_actions import AuditLogAction
from koppel.audit.hooks import action_label, audit_actions
from koppel.audit.models import AuditEntry, Interface
from koppel.audit.queries import AuditFilter, list_actors
from koppel.audit.services import add_audit_entry
from koppel.audit.subjects import SubjectKind
from koppel.kit.tabular.export_limit import export_slot
from koppel.kit.tabular.writers import MEDIA_TYPES, Cell, ColumnType, FileColumn, Format, write_table
from koppel.kit.web.decorators import query_parameters
from koppel.kit.web.parameters import DAY, IDENTIFIER, PAGE, TEXT, lazy_choices, one_of
from koppel.organisations.requests import AuthenticatedRequest
from koppel.organisations.roles import Permission

PAGE_SIZE = 100
COUNT_MAX = 10_000


class CappedPaginator(Paginator):  # type: ignore[type-arg]  # at run time it takes no argument
    """Limits the count of pages: the audit log of a large firm has millions of rows."""

    @property
    def count(self) -> int:
        return len(cast("QuerySet[AuditEntry]", self.object_list).values_list("pk")[:COUNT_MAX])


@query_parameters(
    q=TEXT,
    person=IDENTIFIER,
    action=lazy_choices(lambda: audit_actions),
    interface=one_of(*Interface.values),
    since=DAY,
    until=DAY,
    page=PAGE,
    format=one_of("csv"),
)
def activity(request: AuthenticatedRequest) -> HttpResponseBase:
    """Show the audit log, filtered by person, action, interface, period and text in the query string."""
    request.actor.require(Permission.MANAGE_ORGANISATION)
    filters, redactor = parse_filter(request.parameters), redactor_for(request.actor)
    entries = list_entries(request.actor, filters, redactor)
    if request.parameters["format"]:
        return _export(request, entries, filters, redactor)
    renderer = AuditRenderer(request.actor)
    page = CappedPaginator(entries, PAGE_SIZE).get_page(request.parameters["page"])
    subjects = [entry.subject_id for entry in page if entry.subject_kind == SubjectKind.ADMINISTRATION]
    visible = Administration.objects.visible_to(request.actor).filter(pk__in=subjects)
    context = {
        "nav_section": "activity",
        "filters": filters,
        "is_filtered": filters != AuditFilter(),
        "page": page,
        "entries": [
            (entry, renderer.subject_name(entry), renderer.changes(entry), renderer.other_details(entry))
            for entry in map(redactor.redact, page)
        ],
        # A withdrawn administration is gone: its entries stay, without a link.
        "linked": set(visible.values_list("pk", flat=True)),
        "people": list_actors(request.actor.organisation_id),
        "actions": sorted(
            ((code, str(action.label)) for code, action in audit_actions.items()),
            key=lambda choice: choice[1],
        ),
        "interfaces": Interface.choices,
        "is_long": page.paginator.count >= COUNT_MAX,
    }
    return render(request, "web/activity.html", context)


def parse_filter(parameters: Mapping[str, Any]) -> AuditFilter:
    """Return the filter in the query string."""
    return AuditFilter(
        search_text=(parameters["q"] or "").replace("\0", "").strip(),
        person=parameters["person"],
        action=parameters["action"] or "",
        interface=Interface(parameters["interface"]) if parameters["interface"] else None,
        since=parameters["since"],
        until=parameters["until"],
    )


def _export(
    request: AuthenticatedRequest, entries: Any, filters: AuditFilter, redactor: Redactor
) -> HttpResponseBase:
    """Export all rows of the filter, at most a million."""
    columns = (
        FileColumn(key="at", title=_("When"), type=ColumnType.DATETIME),
        FileColumn(key="who", title=_("Who")),
        FileColumn(key="kind", title=_("As")),
        FileColumn(key="from", title=_("IP address")),
        FileColumn(key="interface", title=_("Source")),
        FileColumn(key="action", title=_("Action")),
        FileColumn(key="code", title=_("Code")),
        FileColumn(key="what", title=_("Subject")),
        FileColumn(key="details", title=_("Details")),
    )
    redacted = map(redactor.redact, entries[:1_000_000].iterator(chunk_size=2000))
    renderer = AuditRenderer(request.actor)
    with export_slot(request.actor.organisation_id):
        content = write_table(Format.CSV, columns, (_row(entry, renderer) for entry in redacted))
    applied = {key: str(value) for key, value in vars(filters).items() if value not in ("", None)}
    add_audit_entry(
        request.actor.organisation_id,
        request.actor.audit,
        AuditLogAction.EXPORTED,
        details={"filter": applied},
    )
    name = f"activity-{timezone.localdate():%Y-%m-%d}.csv"
    return FileResponse(content, as_attachment=True, filename=name, content_type=MEDIA_TYPES[Format.CSV])


def _row(entry: AuditEntry, renderer: AuditRenderer) -> list[Cell]:
    return [
        entry.at,
        entry.actor_name or "Koppel",
        entry.get_actor_kind_display(),
        entry.ip_address,
        entry.get_interface_display(),
        action_label(entry.action),
        entry.action,
        renderer.subject_name(entry),
        renderer.details(entry),
    ]
