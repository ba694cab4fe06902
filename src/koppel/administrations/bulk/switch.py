"""The bulk acts that start and stop processing. Deactivating loses nothing: books, people and settings stay."""

from collections.abc import Mapping, Sequence
from typing import Any

from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from koppel.administrations import life, standing
from koppel.administrations.bulk import state
from koppel.administrations.bulk.acts import Act, Values, Verdict, register_act
from koppel.administrations.models import Administration, Status
from koppel.connections.models import Connection, ConnectionState, RemoteCompany
from koppel.kit.parameters import day_of, shortened
from koppel.organisations.errors import Refused
from koppel.organisations.policy import Actor, Permission

CAN_STOP = (Status.ACTIVE, Status.BLOCKED, Status.FAILED)
CALM = {"status_code": "", "status_reason": ""}


def check_deactivate(actor: Actor, asked: Values) -> Values:
    """`reason` (a sentence, kept with it) and `on` (an ISO date; today or none: at once). Raises `Refused`."""
    text = str(asked.get("on") or "").strip()
    on = day_of(text)
    if text and on is None:
        raise Refused(_("“%s” is not a date.") % shortened(text))
    if on and on < timezone.localdate():
        raise Refused(_("This date is past. Leave it empty to deactivate at once."))
    later = on.isoformat() if on and on > timezone.localdate() else ""
    return {"reason": str(asked.get("reason") or "").replace("\0", "").strip()[:300], "on": later}


def judge_deactivate(actor: Actor, found: Sequence[Administration], asked: Mapping[int, Values]) -> dict[int, Verdict]:
    return {one.pk: _stop(one, asked[one.pk]) for one in found}


def judge_activate(actor: Actor, found: Sequence[Administration], asked: Mapping[int, Values]) -> dict[int, Verdict]:
    connections = Connection.objects.filter(
        organisation_id=actor.organisation_id,
        pk__in={one.connection_id for one in found},
        state=ConnectionState.REMOVED,
    )
    removed = set(connections.values_list("pk", flat=True))
    companies = RemoteCompany.objects.filter(
        organisation_id=actor.organisation_id, pk__in={one.remote_company_id for one in found}, claimed_at__isnull=False
    )
    held = set(companies.values_list("pk", flat=True))
    return {
        one.pk: _go(one, is_reached=one.connection_id not in removed, is_held=one.remote_company_id in held)
        for one in found
    }


def perform_deactivate(actor: Actor, wanted: Mapping[int, Values]) -> None:
    """Runs that wait or run are stopped at their last page."""
    state.write(actor.organisation_id, wanted)
    life.tell_stopped(actor.organisation_id, _with_status(wanted, Status.DEACTIVATED))


def perform_activate(actor: Actor, wanted: Mapping[int, Values]) -> None:
    """One that was never completely read goes back to the queue, and its first sync is asked for again."""
    state.write(actor.organisation_id, wanted)
    life.tell_queued(actor, _with_status(wanted, Status.QUEUED))


def _with_status(wanted: Mapping[int, Values], status: Status) -> list[int]:
    return [key for key, values in wanted.items() if values["columns"].get("status") == status]


def _stop(one: Administration, asked: Values) -> Verdict:
    if one.left_on:
        return Verdict("left")
    if one.status == Status.DEACTIVATED:
        return Verdict("same")
    if one.status not in CAN_STOP:
        return Verdict("being_imported")
    reason, later = asked.get("reason", ""), asked.get("on", "")
    if later:
        return _verdict(one, {"deactivate_on": later, "deactivation_reason": reason})
    today = timezone.localdate().isoformat()
    stopped = {"status": Status.DEACTIVATED.value, "deactivated_on": today, "deactivate_on": None}
    return _verdict(one, {**stopped, "deactivation_reason": reason, **CALM})


def _go(one: Administration, *, is_reached: bool, is_held: bool) -> Verdict:
    """One whose connection was removed meanwhile waits for another; one that may be another company waits for a person."""
    if one.left_on:
        return Verdict("left")
    if one.deactivate_on and one.status != Status.DEACTIVATED:
        return _verdict(one, {"deactivate_on": None, "deactivation_reason": ""})
    if one.status != Status.DEACTIVATED:
        return Verdict("same")
    status = Status.ACTIVE if one.activated_at else Status.QUEUED
    calm = {"deactivated_on": None, "deactivate_on": None, "deactivation_reason": "", **CALM}
    stopped = standing.held() if is_held else {}
    return _verdict(one, {"status": status.value, **calm, **(stopped if is_reached else standing.waits())})


def _verdict(one: Administration, columns: Mapping[str, Any]) -> Verdict:
    before = state.read(one, columns)
    after = {name: value for name, value in columns.items() if before[name] != value}
    if not after:
        return Verdict("same")
    return Verdict(before={"columns": {name: before[name] for name in after}}, after={"columns": after})


register_act(
    Act(
        key="activate",
        label=gettext_lazy("Activate"),
        permission=Permission.IMPORT,
        audit="administrations.active",
        check=lambda actor, asked: {},
        judge=judge_activate,
        perform=perform_activate,
    )
)
register_act(
    Act(
        key="deactivate",
        parameters=frozenset({"reason", "on"}),
        label=gettext_lazy("Deactivate"),
        permission=Permission.IMPORT,
        audit="administrations.deactivated",
        check=check_deactivate,
        judge=judge_deactivate,
        perform=perform_deactivate,
    )
)
