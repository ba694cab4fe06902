"""Divisions and templates over REST."""

from typing import Any

from ninja import Router, Schema, Status

from koppel.kit.schemas import Input
from koppel.organisations import divisions, templates_of_settings
from koppel.organisations.policy import Permission
from koppel.web.doors import MemberRequest, needs

router = Router()


class DivisionOut(Schema):
    id: int
    name: str
    is_archived: bool
    people: int
    administrations: int


class DivisionIn(Input):
    """`people` are ids of memberships, all of them; absent: as they are."""

    name: str
    archived: bool = False
    people: list[int] | None = None


class MergeIn(Input):
    """The id of the one that stays."""

    into: int


class Moved(Schema):
    administrations: int


@router.get("/divisions", response=list[DivisionOut])
@needs(Permission.PEOPLE)
def list_divisions(request: MemberRequest) -> list[Any]:
    """The divisions, those in use first, with how many people and administrations each has."""
    return list(divisions.lines(request.actor))


@router.post("/divisions", response={201: DivisionOut})
def make_division(request: MemberRequest, given: DivisionIn) -> Status[Any]:
    """A new division, with its people when they are named."""
    made = divisions.make(request.actor, given.name)
    if given.people is not None:
        divisions.set_people(request.actor, made.pk, given.people)
    return Status(201, next(line for line in divisions.lines(request.actor) if line.id == made.pk))


@router.put("/divisions/{int:division_id}", response=DivisionOut)
def change_division(request: MemberRequest, division_id: int, given: DivisionIn) -> Any:
    """Its name, its people, and whether it is still offered."""
    request.actor.require(Permission.PEOPLE)
    divisions.change(request.actor, division_id, name=given.name, archived=given.archived, membership_ids=given.people)
    return next(line for line in divisions.lines(request.actor) if line.id == division_id)


@router.post("/divisions/{int:division_id}/merge", response=Moved)
def merge_divisions(request: MemberRequest, division_id: int, given: MergeIn) -> Moved:
    """People and administrations move to the other one."""
    return Moved(administrations=divisions.merge(request.actor, division_id, given.into))


class TemplateOut(Schema):
    """`settings` holds only what the template sets."""

    id: int
    name: str
    is_archived: bool
    settings: dict[str, Any]
    administrations: int


class TemplateIn(Input):
    name: str
    settings: dict[str, Any] = {}
    archived: bool = False


class DifferenceOut(Schema):
    key: str
    before: Any
    after: Any
    count: int


class EffectsOut(Schema):
    """Of `total` administrations `changed` would sync differently."""

    total: int
    changed: int
    differences: list[DifferenceOut]


@router.get("/templates", response=list[TemplateOut])
@needs(Permission.PEOPLE)
def list_templates(request: MemberRequest) -> list[Any]:
    """The templates, those in use first, with what each sets and how many administrations have it."""
    return list(templates_of_settings.lines(request.actor))


@router.post("/templates", response={201: TemplateOut})
def make_template(request: MemberRequest, given: TemplateIn) -> Status[Any]:
    """A new template."""
    made = templates_of_settings.make(request.actor, given.name, given.settings)
    return Status(201, next(line for line in templates_of_settings.lines(request.actor) if line.id == made.pk))


@router.put("/templates/{int:template_id}", response=TemplateOut)
def change_template(request: MemberRequest, template_id: int, given: TemplateIn) -> Any:
    """Its name and settings; `effects` says beforehand what that does."""
    request.actor.require(Permission.PEOPLE)
    templates_of_settings.change(
        request.actor, template_id, name=given.name, settings=given.settings, archived=given.archived
    )
    return next(line for line in templates_of_settings.lines(request.actor) if line.id == template_id)


@router.post("/templates/{int:template_id}/effects", response=EffectsOut)
def effects(request: MemberRequest, template_id: int, given: TemplateIn) -> Any:
    """What these settings would do, to how many. Changes nothing."""
    return templates_of_settings.preview(request.actor, template_id, given.settings)


@router.post("/templates/{int:template_id}/merge", response=Moved)
def merge_templates(request: MemberRequest, template_id: int, given: MergeIn) -> Moved:
    """Its administrations get the other one."""
    return Moved(administrations=templates_of_settings.merge(request.actor, template_id, given.into))
