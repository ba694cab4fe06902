"""Divisions and templates over REST."""

from typing import Any

from ninja import Router, Schema, Status

from koppel.kit.web.schemas import Input
from koppel.organisations.groups import divisions, settings_templates
from koppel.organisations.groups.inputs import DivisionInput, MergeInput
from koppel.organisations.requests import AuthenticatedRequest, needs
from koppel.organisations.roles import Permission

router = Router()


class DivisionOut(Schema):
    id: int
    name: str
    is_archived: bool
    people: int
    administrations: int


class MergeResult(Schema):
    administrations: int


@router.get("/divisions", response=list[DivisionOut])
@needs(Permission.MANAGE_PEOPLE)
def list_divisions(request: AuthenticatedRequest) -> list[Any]:
    """The divisions, those in use first, with how many people and administrations each has."""
    return list(divisions.list_summaries(request.actor))


@router.post("/divisions", response={201: DivisionOut})
def create_division(request: AuthenticatedRequest, payload: DivisionInput) -> Status[Any]:
    """A new division, with its people when they are named."""
    created = divisions.create_division(request.actor, payload)
    return Status(201, next(summary for summary in divisions.list_summaries(request.actor) if summary.id == created.pk))


@router.put("/divisions/{int:division_id}", response=DivisionOut)
def change_division(request: AuthenticatedRequest, division_id: int, payload: DivisionInput) -> Any:
    """Its name, its people, and whether it is still offered."""
    request.actor.require(Permission.MANAGE_PEOPLE)
    divisions.change_division(request.actor, division_id, payload)
    return next(summary for summary in divisions.list_summaries(request.actor) if summary.id == division_id)


@router.post("/divisions/{int:division_id}/merge", response=MergeResult)
def merge_divisions(request: AuthenticatedRequest, division_id: int, payload: MergeInput) -> MergeResult:
    """People and administrations move to the other one."""
    return MergeResult(administrations=divisions.merge(request.actor, division_id, payload.into))


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
@needs(Permission.MANAGE_PEOPLE)
def list_templates(request: AuthenticatedRequest) -> list[Any]:
    """The templates, those in use first, with what each sets and how many administrations have it."""
    return list(settings_templates.list_summaries(request.actor))


@router.post("/templates", response={201: TemplateOut})
def create_template(request: AuthenticatedRequest, payload: TemplateIn) -> Status[Any]:
    """A new template."""
    created = settings_templates.create(request.actor, payload.name, payload.settings)
    return Status(
        201, next(summary for summary in settings_templates.list_summaries(request.actor) if summary.id == created.pk)
    )


@router.put("/templates/{int:template_id}", response=TemplateOut)
def change_template(request: AuthenticatedRequest, template_id: int, payload: TemplateIn) -> Any:
    """Its name and settings; `effects` says beforehand what that does."""
    request.actor.require(Permission.MANAGE_PEOPLE)
    settings_templates.change_template(
        request.actor, template_id, name=payload.name, settings=payload.settings, archived=payload.archived
    )
    return next(summary for summary in settings_templates.list_summaries(request.actor) if summary.id == template_id)


@router.post("/templates/{int:template_id}/effects", response=EffectsOut)
def effects(request: AuthenticatedRequest, template_id: int, payload: TemplateIn) -> Any:
    """What these settings would do, to how many. Changes nothing."""
    return settings_templates.preview(request.actor, template_id, payload.settings)


@router.post("/templates/{int:template_id}/merge", response=MergeResult)
def merge_templates(request: AuthenticatedRequest, template_id: int, payload: MergeInput) -> MergeResult:
    """Its administrations get the other one."""
    return MergeResult(administrations=settings_templates.merge(request.actor, template_id, payload.into))
