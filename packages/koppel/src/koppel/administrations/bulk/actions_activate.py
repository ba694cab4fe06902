"""The bulk actions that start and stop processing. Deactivating loses nothing: books, people and settings
stay.
"""

from collections.abc import Mapping, Sequence
from typing import Any, TypedDict

from django import forms
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from koppel.administrations.audit_actions import BulkAuditAction
from koppel.administrations.bulk import stored_values
from koppel.administrations.bulk.action_form import ActionForm
from koppel.administrations.bulk.actions import BulkAction, NoParameters, PlannedChange
from koppel.administrations.bulk.skip_reasons import CommonReason
from koppel.administrations.hooks import queue_first_syncs, stop_syncs
from koppel.administrations.identity import services as identity
from koppel.administrations.lifecycle.blocked_status import columns_awaiting_connection, columns_of_conflict
from koppel.administrations.models import Administration, BulkValues, Status
from koppel.connections.models import Connection, ConnectionState, RemoteCompany
from koppel.kit.database.text import clean_text
from koppel.kit.web.forms import TextField
from koppel.kit.web.parameters import day_of, shorten
from koppel.organisations.errors import Refused
from koppel.organisations.roles import Actor, Permission

STOPPABLE_STATUSES = (Status.ACTIVE, Status.BLOCKED, Status.FAILED)
REASON_LENGTH_MAX = 300
CLEARED_STATUS_REASON = {"status_code": "", "status_reason": ""}


class DeactivationParameters(TypedDict, total=False):
    """A sentence, and the day as an ISO date; '': at once."""

    reason: str | None
    on: str | None


class DeactivationForm(ActionForm):
    """The reason and the day of a deactivation."""

    reason = TextField(
        label=gettext_lazy("Reason"),
        max_length=REASON_LENGTH_MAX,
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )
    on = TextField(
        label=gettext_lazy("Effective date (empty: now)"), widget=forms.DateInput(attrs={"type": "date"})
    )
    option_help = {
        "reason": "Reason, stored with it.",
        "on": "From this day on (2026-12-31); default: at once.",
    }

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.fields["on"].widget.attrs["min"] = timezone.localdate().isoformat()


def validate_deactivate(actor: Actor, params: DeactivationParameters) -> DeactivationParameters:
    """Return the reason cleaned, and a day later than today or ''. Raises `Refused`."""
    text = (params.get("on") or "").strip()
    on = day_of(text)
    if text and on is None:
        raise Refused(_("“%s” is not a date.") % shorten(text))
    if on and on < timezone.localdate():
        raise Refused(_("Choose a future date, or leave it empty to deactivate now."))
    reason = clean_text(params.get("reason") or "")
    if len(reason) > REASON_LENGTH_MAX:
        raise Refused(_("A reason has at most %d characters.") % REASON_LENGTH_MAX)
    later = on.isoformat() if on and on > timezone.localdate() else ""
    return {"reason": reason, "on": later}


def describe_deactivation(actor: Actor, params: DeactivationParameters) -> list[str]:
    labelled = ((_("Reason"), params.get("reason")), (_("To be deactivated"), params.get("on")))
    return [f"{label}: {value}" for label, value in labelled if value]


def plan_deactivate(
    actor: Actor,
    administrations: Sequence[Administration],
    params_by_id: Mapping[int, DeactivationParameters],
) -> dict[int, PlannedChange]:
    return {
        administration.pk: _plan_stop(administration, params_by_id[administration.pk])
        for administration in administrations
    }


def plan_activate(
    actor: Actor, administrations: Sequence[Administration], params_by_id: Mapping[int, NoParameters]
) -> dict[int, PlannedChange]:
    connections = Connection.objects.for_actor(actor).filter(
        pk__in={administration.connection_id for administration in administrations},
        state=ConnectionState.REMOVED,
    )
    removed = set(connections.values_list("pk", flat=True))
    companies = RemoteCompany.objects.for_actor(actor).filter(
        pk__in={administration.remote_company_id for administration in administrations},
        conflict_detected_at__isnull=False,
    )
    conflicting_ids = set(companies.values_list("pk", flat=True))
    return {
        administration.pk: _plan_start(
            administration,
            has_connection=administration.connection_id not in removed,
            has_conflict=administration.remote_company_id in conflicting_ids,
        )
        for administration in administrations
    }


def execute_status_change(actor: Actor, changes: Mapping[int, BulkValues]) -> None:
    """Activate or deactivate administrations, or restore their former status.

    Runs of deactivated ones end after their current page. An administration that was never read in full is
    queued for its first sync.
    """
    stored_values.write(actor.organisation_id, changes)
    identity.update_closed_issues(
        actor.organisation_id, [key for key, values in changes.items() if "status" in values["columns"]]
    )
    if stopped := _with_status(changes, Status.DEACTIVATED):
        stop_syncs(actor.organisation_id, stopped)
    if queued := _with_status(changes, Status.QUEUED):
        queue_first_syncs(actor, queued)


def _with_status(changes: Mapping[int, BulkValues], status: Status) -> list[int]:
    return [
        administration_id
        for administration_id, values in changes.items()
        if values["columns"].get("status") == status
    ]


def _plan_stop(administration: Administration, params: DeactivationParameters) -> PlannedChange:
    if administration.client_left_on:
        return PlannedChange(CommonReason.CLIENT_LEFT)
    if administration.status == Status.DEACTIVATED:
        return PlannedChange(CommonReason.UNCHANGED)
    if administration.status not in STOPPABLE_STATUSES:
        return PlannedChange(CommonReason.BEING_IMPORTED)
    reason, later = params.get("reason", ""), params.get("on", "")
    if later:
        return _planned_change(
            administration, {"scheduled_deactivation_on": later, "deactivation_reason": reason}
        )
    today = timezone.localdate().isoformat()
    stopped = {"status": Status.DEACTIVATED.value, "deactivated_on": today, "scheduled_deactivation_on": None}
    return _planned_change(
        administration, {**stopped, "deactivation_reason": reason, **CLEARED_STATUS_REASON}
    )


def _plan_start(administration: Administration, *, has_connection: bool, has_conflict: bool) -> PlannedChange:
    """Plan the next status. Without its connection the administration waits for another one; in a conflict
    about its company it waits for a person.
    """
    if administration.client_left_on:
        return PlannedChange(CommonReason.CLIENT_LEFT)
    if administration.scheduled_deactivation_on and administration.status != Status.DEACTIVATED:
        return _planned_change(administration, {"scheduled_deactivation_on": None, "deactivation_reason": ""})
    if administration.status != Status.DEACTIVATED:
        return PlannedChange(CommonReason.UNCHANGED)
    status = Status.ACTIVE if administration.activated_at else Status.QUEUED
    cleared = {
        "deactivated_on": None,
        "scheduled_deactivation_on": None,
        "deactivation_reason": "",
        **CLEARED_STATUS_REASON,
    }
    blocked = columns_of_conflict() if has_conflict else {}
    return _planned_change(
        administration,
        {"status": status.value, **cleared, **(blocked if has_connection else columns_awaiting_connection())},
    )


def _planned_change(administration: Administration, columns: Mapping[str, Any]) -> PlannedChange:
    before = stored_values.read_columns(administration, columns)
    after = {name: value for name, value in columns.items() if before[name] != value}
    if not after:
        return PlannedChange(CommonReason.UNCHANGED)
    return PlannedChange(before={"columns": {name: before[name] for name in after}}, after={"columns": after})


ACTIVATE = BulkAction(
    code="activate",
    label=gettext_lazy("Activate"),
    icon="play",
    permission=Permission.IMPORT_ADMINISTRATIONS,
    audit_action=BulkAuditAction.ACTIVATED,
    command="activate",
    command_help="Let deactivated administrations sync again.",
    parameters=NoParameters,
    plan=plan_activate,
    execute=execute_status_change,
    is_undoable=True,
)
DEACTIVATE = BulkAction(
    code="deactivate",
    label=gettext_lazy("Deactivate"),
    icon="circle-pause",
    permission=Permission.IMPORT_ADMINISTRATIONS,
    audit_action=BulkAuditAction.DEACTIVATED,
    command="deactivate",
    command_help="Stop syncing administrations. Nothing is lost.",
    parameters=DeactivationParameters,
    plan=plan_deactivate,
    execute=execute_status_change,
    validate=validate_deactivate,
    describe=describe_deactivation,
    form=DeactivationForm,
    explanation=gettext_lazy(
        "Deactivating stops syncing. Nothing is deleted: books, users and settings stay as they are."
    ),
    is_dangerous=True,
    is_undoable=True,
)
