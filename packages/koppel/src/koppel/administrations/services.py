"""Use cases of administrations: import, settings, favourites, and the states that a sync reports."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import product
from typing import Any

from django.utils import timezone

from koppel.administrations import bulk
from koppel.administrations.access import (
    administration_for,
    audited_not_found,
    get_locked,
    require_assignable,
)
from koppel.administrations.audit_actions import AdministrationAction, BulkAuditAction
from koppel.administrations.bulk import CommonReason, PlannedChange
from koppel.administrations.identity.answers import record_import_answers
from koppel.administrations.identity.services import handle_import
from koppel.administrations.inputs import AdministrationInput, SettingsInput
from koppel.administrations.models import (
    Administration,
    Assignment,
    BulkItem,
    ClientAnswer,
    ConfirmedIdentity,
    Favourite,
    SharedNumberAnswer,
    Status,
)
from koppel.audit.services import add_audit_entry
from koppel.audit.subjects import Subject, SubjectKind
from koppel.company_registers.numbers import check_number
from koppel.connections.companies.same_company import confirm_identity, same_name, store_confirmed_identities
from koppel.connections.models import RemoteCompany
from koppel.kit.database.json_fields import to_shape
from koppel.organisations.errors import Refused
from koppel.organisations.models import Membership, SettingsMap
from koppel.organisations.roles import Actor, Permission, Role
from koppel.organisations.settings_schema import SETTING_LABELS, validate_settings


@dataclass(frozen=True)
class NewAdministration:
    """A remote company to import, with its identity and assignments. The identity has been checked
    (`company_registers.numbers.identity`).
    """

    remote_company_id: int
    number: str = ""
    number_scheme: str = ""
    number_note: str = ""
    no_number_reason: str = ""
    sector: str = ""
    sector_scheme: str = ""
    confirmed_identity: ConfirmedIdentity = field(default_factory=ConfirmedIdentity)
    client_answer: ClientAnswer = field(default_factory=ClientAnswer)
    shared_number_answer: SharedNumberAnswer = field(default_factory=SharedNumberAnswer)
    predecessor_id: int | None = None
    """The administration that this one continues."""
    division_id: int | None = None
    template_id: int | None = None
    membership_ids: tuple[int, ...] = ()
    displayed_name: str = ""
    """The name when the company was chosen; '': as listed now."""
    displayed_number: str = ""
    """The number when the company was chosen; '': as listed now."""


def import_companies(
    actor: Actor, connection_id: int, import_id: int, companies: Sequence[NewAdministration]
) -> list[int]:
    """Create administrations of remote companies, queued for their first sync. A company imported already is
    left unchanged.

    Returns the ids of the new ones. Assigns every Administrator, the importer, and the members chosen in the
    wizard. Raises `NoSuchChoice`.
    """
    actor.require(Permission.IMPORT_ADMINISTRATIONS)
    new_by_company = {company.remote_company_id: company for company in companies}
    queryset = RemoteCompany.objects.for_actor(actor).filter(
        connection_id=connection_id, pk__in=new_by_company
    )
    remotes = list(queryset.order_by("name", "pk").select_for_update(no_key=True))
    created = Administration.objects.bulk_create(
        [_new_administration(actor, import_id, remote, new_by_company[remote.pk]) for remote in remotes],
        ignore_conflicts=True,
    )
    ids = _created_ids(actor, import_id, [administration.remote_company_id for administration in created])
    _confirm_displayed_identities([remote for remote in remotes if remote.pk in ids], new_by_company)
    _assign_initially(actor, import_id, {ids[company_id]: new_by_company[company_id] for company_id in ids})
    add_audit_entry(
        actor.organisation_id,
        actor.audit,
        BulkAuditAction.IMPORTED,
        subject=Subject(SubjectKind.CONNECTION, connection_id),
        details={"import": import_id, "administrations": sorted(ids.values())},
    )
    _record_predecessors(actor, {ids[key]: new_by_company[key] for key in ids})
    record_import_answers(actor, sorted(ids.values()))
    handle_import(actor.organisation_id, sorted(ids.values()))
    return sorted(ids.values())


def change_administration(
    actor: Actor, administration_id: int, administration_input: AdministrationInput
) -> list[str]:
    """Assign and set, as a bulk operation on one administration, which is audited and can be undone.

    Returns the names of the changed fields. Raises `NoSuchAdministration`, and `Refused` for a wrong value:
    then nothing changes.
    """
    actor.require(Permission.CHANGE_ADMINISTRATIONS)
    administration = administration_for(actor, administration_id)
    params = administration_input.model_dump(exclude_unset=True)
    draft = bulk.preview(actor, "change", params, bulk.Selection(ids=[administration_id]))
    item = BulkItem.objects.for_actor(actor).get(operation=draft)
    if item.reason_code not in ("", CommonReason.UNCHANGED):
        raise _refusal(item.reason_code, administration_input, administration.country)
    bulk.start_operation(actor, draft.pk)
    columns = item.after.get("columns", {})
    names = {name.removesuffix("_id") for name in columns} & set(AdministrationInput.model_fields)
    people = item.after.get("people", {}).values()
    names |= {"remove" if is_automatic is None else "add" for is_automatic in people}
    return sorted(names)


def _refusal(reason_code: str, administration_input: AdministrationInput, country: str) -> Refused:
    """Return the refusal of these changes: the error in the number, or the reason."""
    if reason_code in bulk.NUMBER_REASONS.values():
        return Refused(str(check_number(administration_input.number or "", country).message), field="number")
    return Refused(bulk.describe_reason(reason_code))


def change_settings(actor: Actor, administration_id: int, settings_input: SettingsInput) -> list[str]:
    """Store own values; with None a setting follows the template or organisation again. Returns the changed
    keys. Raises `Refused`.
    """
    actor.require(Permission.CHANGE_ADMINISTRATIONS)
    values = settings_input.values
    administration = get_locked(actor, administration_id)
    before = dict(administration.settings)
    # A setting that a later version no longer has can be given back all the same.
    resettable = {*SETTING_LABELS, *before}
    validate_settings(
        {key: value for key, value in values.items() if value is not None or key not in resettable}
    )
    merged = {**administration.settings, **values}
    administration.settings = to_shape(
        {key: value for key, value in merged.items() if value is not None}, SettingsMap
    )
    after = administration.settings
    changed = sorted(key for key in {**before, **after} if before.get(key) != after.get(key))
    if not changed:
        return []
    administration.save(update_fields=["settings"])
    add_audit_entry(
        actor.organisation_id,
        actor.audit,
        AdministrationAction.SETTINGS_CHANGED,
        subject=Subject(kind=SubjectKind.ADMINISTRATION, id=administration.pk, name=administration.name),
        details={"before": before, "after": administration.settings},
    )
    return changed


def set_favourite(actor: Actor, administration_id: int, *, is_favourite: bool) -> None:
    """Add the administration to the actor's favourites, or remove it."""
    if not Administration.objects.visible_to(actor).filter(pk=administration_id).exists():
        raise audited_not_found(actor, administration_id)
    key: dict[str, Any] = {
        "organisation_id": actor.organisation_id,
        "administration_id": administration_id,
        "membership_id": actor.membership_id,
    }
    if is_favourite:
        Favourite.objects.get_or_create(**key)
    else:
        Favourite.objects.filter(**key).delete()


def set_status(
    organisation_id: int, administration_id: int, status: Status, *, code: str = "", reason: str = ""
) -> None:
    """Set the status that a sync reports. A deactivated administration stays deactivated."""
    queryset = Administration.objects.in_organisation(organisation_id).filter(pk=administration_id)
    queryset.exclude(status=Status.DEACTIVATED).update(status=status, status_code=code, status_reason=reason)


def mark_synced(organisation_id: int, administration_id: int, as_of: datetime) -> bool:
    """Record that every available resource was read. Returns whether the administration became active for the
    first time.
    """
    queryset = Administration.objects.in_organisation(organisation_id).filter(pk=administration_id)
    complete = {"complete_as_of": as_of, "status": Status.ACTIVE, "status_code": "", "status_reason": ""}
    not_deactivated = queryset.exclude(status=Status.DEACTIVATED)
    if not_deactivated.exclude(activated_at=None).update(**complete):
        return False
    first = queryset.filter(activated_at=None).update(activated_at=timezone.now()) == 1
    if not not_deactivated.update(**complete):
        queryset.update(complete_as_of=as_of)
    return first


def _new_administration(
    actor: Actor, import_id: int, remote: RemoteCompany, new: NewAdministration
) -> Administration:
    return Administration(
        organisation_id=actor.organisation_id,
        connection_id=remote.connection_id,
        remote_company_id=remote.pk,
        name=remote.name,
        country=remote.country,
        base_currency=remote.base_currency,
        number=new.number,
        number_scheme=new.number_scheme,
        number_note=new.number_note,
        no_number_reason=new.no_number_reason,
        sector=new.sector,
        sector_scheme=new.sector_scheme,
        confirmed_identity=new.confirmed_identity,
        client_answer=new.client_answer,
        shared_number_answer=new.shared_number_answer,
        predecessor_id=new.predecessor_id,
        division_id=new.division_id,
        template_id=new.template_id,
        imported_by_id=actor.membership_id,
        import_id=import_id,
    )


def _record_predecessors(actor: Actor, created: Mapping[int, NewAdministration]) -> None:
    linked = {key: new.predecessor_id for key, new in created.items() if new.predecessor_id is not None}
    names = dict(Administration.objects.for_actor(actor).filter(pk__in=linked).values_list("pk", "name"))
    for key, predecessor_id in linked.items():
        add_audit_entry(
            actor.organisation_id,
            actor.audit,
            AdministrationAction.PREDECESSOR_SET,
            subject=Subject(kind=SubjectKind.ADMINISTRATION, id=key, name=names[key]),
            details={"before": None, "after": predecessor_id},
        )


def _confirm_displayed_identities(
    remotes: Sequence[RemoteCompany], new_by_company: Mapping[int, NewAdministration]
) -> None:
    """Store the displayed names and numbers as confirmed by the importer, so that a change is noticed."""
    for remote in remotes:
        new, listed = new_by_company[remote.pk], remote.legal_name or remote.name
        name = new.displayed_name or listed
        number = new.displayed_number or (remote.number if same_name(name, listed) else "")
        confirm_identity(remote, name, number or new.number)
    store_confirmed_identities(remotes)


def _created_ids(actor: Actor, import_id: int, remote_ids: Sequence[int]) -> dict[int, int]:
    """Return remote company id to administration id, of this import only: existing rows were skipped."""
    queryset = Administration.objects.for_actor(actor).filter(
        import_id=import_id, remote_company_id__in=remote_ids
    )
    return dict(queryset.values_list("remote_company_id", "pk"))


def _assign_initially(actor: Actor, import_id: int, created: Mapping[int, NewAdministration]) -> None:
    require_assignable(
        actor,
        {new.division_id for new in created.values() if new.division_id is not None},
        {new.template_id for new in created.values() if new.template_id is not None},
        {membership_id for new in created.values() for membership_id in new.membership_ids},
    )
    administrators = (
        Membership.objects.for_actor(actor)
        .filter(role=Role.ADMINISTRATOR, is_active=True)
        .values_list("pk", flat=True)
    )
    default = {*administrators, actor.membership_id}
    chosen = [
        (administration_id, membership_id)
        for administration_id, new in created.items()
        for membership_id in new.membership_ids
    ]
    _add_people(actor.organisation_id, chosen, automatic=False)
    _add_people(actor.organisation_id, list(product(created, default)), automatic=True)
    planned_changes = {
        administration_id: change
        for administration_id, new in created.items()
        if (change := _initial_assignment(new, default)).after
    }
    if planned_changes:
        bulk.record_completed(actor, "change", planned_changes, query=f"import={import_id}")


def _initial_assignment(new: NewAdministration, default: Collection[int]) -> PlannedChange:
    """Return the choices of the wizard beyond the assignments of every import, as an undoable change."""
    columns = {"division_id": new.division_id, "template_id": new.template_id}
    after: dict[str, str | int | bool | None] = {
        name: value for name, value in columns.items() if value is not None
    }
    if not after and not new.membership_ids:
        return PlannedChange()
    before: dict[str, bool | None] = {
        str(member): True if member in default else None for member in new.membership_ids
    }
    return PlannedChange(
        before={"columns": dict.fromkeys(after), "people": before},
        after={"columns": after, "people": dict.fromkeys(before, False)},
    )


def _add_people(organisation_id: int, pairs: Sequence[tuple[int, int]], *, automatic: bool) -> None:
    Assignment.objects.bulk_create(
        [
            Assignment(
                organisation_id=organisation_id,
                administration_id=administration_id,
                membership_id=member,
                automatic=automatic,
            )
            for administration_id, member in pairs
        ],
        ignore_conflicts=True,
        batch_size=5000,
    )
