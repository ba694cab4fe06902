"""The settings of an administration over REST, each with its origin."""

from typing import Any

from ninja import Router, Schema

from koppel.administrations import services
from koppel.administrations.access import administration_for
from koppel.administrations.effective_settings import COMPARED_KEYS, effective_settings
from koppel.administrations.inputs import SettingsInput
from koppel.organisations.requests import AuthenticatedRequest, permission_required
from koppel.organisations.roles import Actor, Permission

router = Router()


class SettingsOut(Schema):
    """`effective_values` with the source of each (administration, template, organisation, default); `values`
    are set here.

    `limited_by_organisation` names those of which the organisation switched something off.
    """

    effective_values: dict[str, Any]
    sources: dict[str, str]
    values: dict[str, Any]
    limited_by_organisation: list[str]


@router.get("/{int:administration_id}/settings", response=SettingsOut)
def get_settings(request: AuthenticatedRequest, administration_id: int) -> SettingsOut:
    """Show the settings in force, each with its origin."""
    return _settings(request.actor, administration_id)


class ChangedSettingsOut(SettingsOut):
    """`changed` names the settings that this request changed; none when all had these values already."""

    changed: list[str]


@router.patch("/{int:administration_id}/settings", response=ChangedSettingsOut)
@permission_required(Permission.CHANGE_ADMINISTRATIONS)
def change_settings(
    request: AuthenticatedRequest, administration_id: int, payload: SettingsInput
) -> ChangedSettingsOut:
    """Set here, or give back to template or organisation."""
    changed = services.change_settings(request.actor, administration_id, payload)
    return ChangedSettingsOut(**_settings(request.actor, administration_id).dict(), changed=changed)


def _settings(actor: Actor, administration_id: int) -> SettingsOut:
    administration = administration_for(actor, administration_id)
    effective = effective_settings(administration)
    return SettingsOut(
        effective_values={key: getattr(effective, key) for key in COMPARED_KEYS},
        sources={key: source.value for key, source in effective.sources.items()},
        values=dict(administration.settings),
        limited_by_organisation=sorted(effective.limited_keys),
    )
