"""The bulk act that assigns and sets: division, template, people on and off, number or reason, sector, client number."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from koppel.administrations.bulk import snapshot
from koppel.administrations.bulk.actions import Act, Values, Verdict, register_act
from koppel.administrations.errors import NotThere
from koppel.administrations.identity import services as identity
from koppel.administrations.models import Administration
from koppel.company_registers.number_check import Verdict as NumberVerdict
from koppel.company_registers.numbers import check as check_number
from koppel.company_registers.reasons import REASONS
from koppel.company_registers.sectors import SCHEME, SECTIONS
from koppel.kit.web.parameters import unknown_value
from koppel.organisations.errors import Refused
from koppel.organisations.models import Division, Membership, Template
from koppel.organisations.roles import Actor, Permission

ASSIGNING = frozenset({"division", "template", "add", "remove"})
SETTING = frozenset({"number", "reason", "sector", "client_number"})
CLIENT_NUMBER_MAX = 60


def check(actor: Actor, asked: Values) -> Values:
    """As `check_words`. Raises `NotThere` too, for what is not this organisation's."""
    wanted = dict(check_words(actor, asked))
    _must_be_ours(actor, wanted)
    return wanted


def check_words(actor: Actor, asked: Values) -> Values:
    """Keys of `ASSIGNING` and `SETTING`, those given only; division and template None take it away. Looks nothing up: a file
    has thousands of lines. Raises `Refused` when it may not be."""
    wanted = {key: _understood(key, asked[key]) for key in (*ASSIGNING, *SETTING) if key in asked}
    wanted = {key: value for key, value in wanted.items() if value not in ([], ())}
    if ASSIGNING & wanted.keys():
        actor.require(Permission.IMPORT)
    if "sector" in wanted and wanted["sector"] not in ("", *SECTIONS):
        raise Refused(unknown_value("sector", wanted["sector"], SECTIONS).sentence)
    if "reason" in wanted and wanted["reason"] not in REASONS:
        raise Refused(unknown_value("reason", wanted["reason"], REASONS).sentence)
    if set(wanted.get("add", ())) & set(wanted.get("remove", ())):
        raise Refused(_("The same person cannot be added and taken off."))
    return wanted


def _understood(key: str, value: Any) -> Any:
    """Programs may write anything. Raises `Refused` for what is neither an id, ids nor text, as its key wants it."""
    if key in ("add", "remove") and isinstance(value, list | tuple | set | frozenset) and all(map(_is_id, value)):
        return sorted(set(value))
    if key in ("division", "template") and (value is None or _is_id(value)):
        return value
    if key in SETTING and (value is None or isinstance(value, str)):
        text = (value or "").replace("\0", "").strip()
        if key != "client_number" or len(text) <= CLIENT_NUMBER_MAX:
            return text
    raise Refused(_("What is asked for “%s” cannot be understood.") % key)


def _is_id(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def check_asked(actor: Actor, asked: Values) -> Values:
    """As `check`, for what is the same for all: something must be asked."""
    wanted = check(actor, asked)
    if not wanted and not asked.get("per_item"):
        raise Refused(_("Choose a division, a template, a person or a sector first."))
    return wanted


def judge(actor: Actor, found: Sequence[Administration], asked: Mapping[int, Values]) -> dict[int, Verdict]:
    touches_people = any(values.get("add") or values.get("remove") for values in asked.values())
    people = snapshot.people_on(actor.organisation_id, asked) if touches_people else {}
    restricted = touches_people and any(one.restricted for one in found)
    live = snapshot.live_members(actor.organisation_id) if restricted else frozenset()
    named = [
        {"columns": {"division_id": each.get("division"), "template_id": each.get("template")}}
        for each in asked.values()
    ]
    archived = snapshot.archived(actor.organisation_id, named)
    verdicts = {one.pk: _judge_one(one, people.get(one.pk, {}), asked.get(one.pk, {}), live) for one in found}
    new = [(one, verdicts[one.pk].after.get("columns", {}).get("number")) for one in found]
    others = identity.other_names(actor.organisation_id, [(one, number) for one, number in new if number])
    verdicts |= dict.fromkeys(others, Verdict("other_company"))
    return {key: Verdict("archived") if _names(one.after, archived) else one for key, one in verdicts.items()}


def perform(actor: Actor, wanted: Mapping[int, Values]) -> None:
    snapshot.write(actor.organisation_id, wanted)
    identity.set_in_bulk(actor.organisation_id, {key: values.get("columns", {}) for key, values in wanted.items()})


def _names(after: Values, archived: Mapping[str, Collection[int]]) -> bool:
    """Archived since it was asked for: nothing new is put there."""
    return any(after.get("columns", {}).get(column) in ids for column, ids in archived.items())


def _judge_one(one: Administration, people: snapshot.People, asked: Values, live: Collection[int]) -> Verdict:
    columns: dict[str, Any] = {}
    for key, column in (("division", "division_id"), ("template", "template_id"), ("client_number", "client_number")):
        if key in asked:
            columns[column] = asked[key]
    if "sector" in asked:
        columns |= {"sector": asked["sector"], "sector_scheme": SCHEME if asked["sector"] else ""}
    if "reason" in asked and "number" not in asked:
        if one.number:
            return Verdict("has_number")
        columns["no_number_reason"] = asked["reason"]
    if "number" in asked:
        checked = check_number(asked["number"], one.country)
        if checked.verdict is NumberVerdict.INVALID:
            return Verdict(f"number_{checked.note}")
        columns |= {"number": checked.number, "number_scheme": checked.scheme, "number_note": checked.note}
        columns["no_number_reason"] = ""
    if _breaks_the_rule(one, columns):
        return Verdict("needs_sector")
    before = snapshot.read(one, columns)
    after = {name: value for name, value in columns.items() if before[name] != value}
    moves = _moves(people, asked)
    if one.restricted and moves and snapshot.nobody_left(people, moves, live):
        return Verdict("last_named")
    if not after and not moves:
        return Verdict("same")
    return Verdict(
        before={
            "columns": {name: before[name] for name in after},
            "people": {str(member): people.get(member) for member in moves},
            **({"restricted": True} if one.restricted and moves else {}),
        },
        after={"columns": after, "people": {str(member): flag for member, flag in moves.items()}},
    )


def _breaks_the_rule(one: Administration, columns: Values) -> bool:
    """A number, or a reason and a sector: what had that keeps it, and a reason comes with its sector."""
    number, reason, sector = (
        columns.get(name, getattr(one, name)) for name in ("number", "no_number_reason", "sector")
    )
    is_asked = "no_number_reason" in columns or identity.is_complete(one)
    return is_asked and not number and not (reason and sector)


def _moves(people: snapshot.People, asked: Values) -> dict[int, bool | None]:
    """Who comes on (chosen, even when on it by default already) and who goes off."""
    moves: dict[int, bool | None] = {one: False for one in asked.get("add", ()) if people.get(one) is not False}
    return moves | {one: None for one in asked.get("remove", ()) if one in people}


def _must_be_ours(actor: Actor, wanted: Values) -> None:
    own = {"organisation_id": actor.organisation_id}
    division, template = wanted.get("division"), wanted.get("template")
    if division is not None and not Division.objects.filter(**own, pk=division, archived_at=None).exists():
        raise NotThere(unknown_value("division", str(division)).sentence)
    if template is not None and not Template.objects.filter(**own, pk=template, archived_at=None).exists():
        raise NotThere(unknown_value("template", str(template)).sentence)
    _people_must_be_ours(actor, {*wanted.get("add", ()), *wanted.get("remove", ())})


def _people_must_be_ours(actor: Actor, members: Iterable[int]) -> None:
    members = set(members)
    there = Membership.objects.filter(organisation_id=actor.organisation_id, pk__in=members).values_list(
        "pk", flat=True
    )
    if strange := sorted(members - set(there)):
        raise NotThere(" ".join(unknown_value("member", str(one)).sentence for one in strange))


register_act(
    Act(
        key="change",
        label=gettext_lazy("Assign and set"),
        permission=Permission.CHANGE_ADMINISTRATIONS,
        audit="administrations.assigned",
        audit_of=lambda asked: f"administrations.{'assigned' if ASSIGNING & asked.keys() else 'set'}",
        check=check_asked,
        judge=judge,
        perform=perform,
        is_undoable=True,
        parameters=ASSIGNING | SETTING,
    )
)
