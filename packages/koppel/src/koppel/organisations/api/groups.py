"""Divisions and templates over REST."""

from typing import Any

from ninja import Router, Schema, Status

from koppel.organisations.groups import divisions, settings_templates
from koppel.organisations.groups.inputs import DivisionInput, MergeInput, TemplateInput
from koppel.organisations.requests import AuthenticatedRequest, permission_required
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
@permission_required(Permission.MANAGE_PEOPLE)
def list_divisions(request: AuthenticatedRequest) -> list[Any]:
    """List divisions, those in use first, with the number of people and administrations of each."""
    return list(divisions.list_summaries(request.actor))


@router.post("/divisions", response={201: DivisionOut})
@permission_required(Permission.MANAGE_PEOPLE)
def create_division(request: AuthenticatedRequest, payload: DivisionInput) -> Status[Any]:
    """Create a division, optionally with people."""
    created = divisions.create_division(request.actor, payload)
    return Status(201, divisions.get_summary(request.actor, created.pk))


@router.put("/divisions/{int:division_id}", response=DivisionOut)
@permission_required(Permission.MANAGE_PEOPLE)
def change_division(request: AuthenticatedRequest, division_id: int, payload: DivisionInput) -> Any:
    """Change the name, the people, and whether the division is archived."""
    divisions.change_division(request.actor, division_id, payload)
    return divisions.get_summary(request.actor, division_id)


@router.post("/divisions/{int:division_id}/merge", response=MergeResult)
@permission_required(Permission.MANAGE_PEOPLE)
def merge_divisions(request: AuthenticatedRequest, division_id: int, payload: MergeInput) -> MergeResult:
    """Move people and administrations to another division."""
    return MergeResult(administrations=divisions.merge(request.actor, division_id, payload.into))


class TemplateOut(Schema):
    """`settings` holds only what the template sets."""

    id: int
    name: str
    is_archived: bool
    settings: dict[str, Any]
    administrations: int


class DifferenceOut(Schema):
    key: str
    before: Any
    after: Any
    count: int


class EffectsOut(Schema):
    """The effect of a change: `changed` of `total` administrations would sync differently."""

    total: int
    changed: int
    differences: list[DifferenceOut]


@router.get("/templates", response=list[TemplateOut])
@permission_required(Permission.MANAGE_PEOPLE)
def list_templates(request: AuthenticatedRequest) -> list[Any]:
    """List templates, those in use first, with their settings and the number of administrations of each."""
    return list(settings_templates.list_summaries(request.actor))


@router.post("/templates", response={201: TemplateOut})
@permission_required(Permission.MANAGE_PEOPLE)
def create_template(request: AuthenticatedRequest, payload: TemplateInput) -> Status[Any]:
    """Create a template."""
    created = settings_templates.create_template(request.actor, payload)
    return Status(201, settings_templates.get_summary(request.actor, created.pk))


@router.put("/templates/{int:template_id}", response=TemplateOut)
@permission_required(Permission.MANAGE_PEOPLE)
def change_template(request: AuthenticatedRequest, template_id: int, payload: TemplateInput) -> Any:
    """Change name and settings; call `effects` first to see what that does."""
    settings_templates.change_template(request.actor, template_id, payload)
    return settings_templates.get_summary(request.actor, template_id)


@router.post("/templates/{int:template_id}/effects", response=EffectsOut)
@permission_required(Permission.MANAGE_PEOPLE)
def preview_template(request: AuthenticatedRequest, template_id: int, payload: TemplateInput) -> Any:
    """Return what these settings would change, and for how many administrations. Changes nothing."""
    return settings_templates.preview(request.actor, template_id, payload.settings)


@router.post("/templates/{int:template_id}/merge", response=MergeResult)
@permission_required(Permission.MANAGE_PEOPLE)
def merge_templates(request: AuthenticatedRequest, template_id: int, payload: MergeInput) -> MergeResult:
    """Move the administrations of a template to another one."""
    return MergeResult(administrations=settings_templates.merge(request.actor, template_id, payload.into))
