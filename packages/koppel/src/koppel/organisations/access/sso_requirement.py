"""Whether an organisation requires single sign-on, and changes of that.

The requirement holds while the identity provider is switched on: a provider that the Administrators switched
off, or changed and did not test yet, locks nobody out. It concerns sessions of browsers; API tokens work on.
"""

from dataclasses import replace

from django.utils.translation import gettext as _

from koppel.audit.services import add_audit_entry
from koppel.audit.subjects import Subject, SubjectKind
from koppel.kit.database.outage import repeat_after_outage
from koppel.kit.tenancy import installation_scope, organisation_scope
from koppel.organisations.audit_actions import IdentityProviderAction
from koppel.organisations.errors import Refused
from koppel.organisations.hooks import sso_requirement_changed
from koppel.organisations.models import IdentityProvider, Organisation
from koppel.organisations.roles import Actor


def requires_sso(organisation: Organisation) -> bool:
    """Return whether only sessions of the identity provider open the organisation. Within the caller's
    scope.
    """
    if not organisation.requires_sso:
        return False
    providers = IdentityProvider.objects.in_organisation(organisation.pk)
    return providers.filter(is_active=True).exists()


def set_sso_requirement(actor: Actor, *, required: bool) -> bool:
    """Store whether single sign-on is required, with an audit entry and a notification. Returns whether that
    is a change. In scope.
    """
    organisation = Organisation.objects.select_for_update().get(pk=actor.organisation_id)
    if organisation.requires_sso == required:
        return False
    organisation.requires_sso = required
    organisation.save(update_fields=["requires_sso"])
    action = IdentityProviderAction.REQUIRED if required else IdentityProviderAction.OPTIONAL
    subject = Subject(kind=SubjectKind.ORGANISATION, id=organisation.pk, name=organisation.name)
    add_audit_entry(organisation.pk, actor.audit, action, subject=subject)
    sso_requirement_changed(organisation, actor.name)
    return True


@repeat_after_outage
def end_sso_requirement(operator: Actor, organisation_id: int) -> Organisation:
    """Let members sign in with their own passwords and passkeys again: the way in for an organisation whose
    identity provider no longer works. Shell only. Raises `Refused`.
    """
    with installation_scope("single sign-on"):
        organisation = Organisation.objects.filter(pk=organisation_id).first()
    if organisation is None:
        raise Refused(_("Organisation not found; run `koppel organisations list`."))
    with organisation_scope(organisation_id):
        set_sso_requirement(replace(operator, organisation_id=organisation_id), required=False)
    return organisation
