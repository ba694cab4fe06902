"""The organisation's name, and its settings below every template."""

from django.utils.translation import gettext as _

from koppel.audit.services import add_audit_entry
from koppel.audit.subjects import Subject, SubjectKind
from koppel.kit.database.text import clean_text
from koppel.organisations.audit_actions import OrganisationAction
from koppel.organisations.errors import Refused
from koppel.organisations.inputs import OrganisationInput
from koppel.organisations.models import Organisation
from koppel.organisations.roles import Actor, Permission
from koppel.organisations.settings_schema import validate_settings


def change_organisation(actor: Actor, organisation_input: OrganisationInput) -> None:
    """Change the name and the settings. Raises `Refused`."""
    actor.require(Permission.MANAGE_ORGANISATION)
    stored = validate_settings(organisation_input.settings)
    name = clean_text(organisation_input.name)
    if not name:
        raise Refused(_("Enter a name."), field="name")
    organisation = Organisation.objects.select_for_update().get(pk=actor.organisation_id)
    before = {"name": organisation.name, "settings": organisation.settings}
    after = {"name": name, "settings": stored}
    organisation.name, organisation.settings = name, stored
    organisation.save(update_fields=["name", "settings"])
    add_audit_entry(
        actor.organisation_id,
        actor.audit,
        OrganisationAction.CHANGED,
        subject=Subject(kind=SubjectKind.ORGANISATION, id=actor.organisation_id, name=name),
        details={"before": before, "after": after},
    )
