"""The audit actions of organisations."""

from django.utils.translation import gettext_lazy as _

from koppel.audit.audit_actions import AuditAction


class OrganisationAction(AuditAction):
    """Actions on the organisation and its rules."""

    BRANDING_CHANGED = "organisation.branding_changed", _("changed the logo or colour")
    CHANGED = "organisation.changed", _("changed the organisation")
    CREATED = "organisation.created", _("created the organisation")
    SECURITY_CHANGED = "organisation.security_changed", _("changed the security settings")


class DomainAction(AuditAction):
    """Actions on the e-mail domains that lead to the identity provider."""

    ADDED = "organisation.domain_added", _("added an e-mail domain")
    CONFIRMED = "organisation.domain_confirmed", _("confirmed an e-mail domain")
    LAPSED = "organisation.domain_lapsed", _("ended sign-in by an e-mail domain: its DNS record is missing")
    REMOVED = "organisation.domain_removed", _("removed an e-mail domain")
    REVOKED = "organisation.domain_revoked", _("withdrew the confirmation of an e-mail domain")
    VERIFIED = "organisation.domain_verified", _("verified an e-mail domain by its DNS record")


class OperatorAction(AuditAction):
    """Access of the installation's operator to an organisation."""

    ACCESS_ENDED = "operator.access_ended", _("ended support access")
    ACCESS_GRANTED = "operator.access_granted", _("granted support access")
    ACCESS_REVOKED = "operator.access_revoked", _("ended the operator's access")
    ACCESS_STARTED = "operator.access_started", _("started support access as operator")


class PersonAction(AuditAction):
    """Actions on members, invitations and sign-ins."""

    CHANGED = "person.changed", _("changed a person")
    IDENTITY_APPROVED = "person.identity_approved", _("approved a sign-in with the identity provider")
    IDENTITY_LINKED = "person.identity_linked", _("was linked to the identity provider")
    IDENTITY_REJECTED = "person.identity_rejected", _("rejected a sign-in with the identity provider")
    IDENTITY_WAITING = "person.identity_waiting", _("asked to link a sign-in with the identity provider")
    INVITATION_RESENT = "person.invitation_resent", _("resent an invitation")
    INVITATION_REVOKED = "person.invitation_revoked", _("revoked an invitation")
    INVITED = "person.invited", _("invited a person")
    JOINED = "person.joined", _("accepted the invitation")
    MFA_RESET = "person.mfa_reset", _("removed a user's two-step verification")
    OWNERSHIP_TRANSFERRED = "person.ownership_transferred", _("transferred the responsibilities of a person")
    PERMISSION_REFUSED = "person.permission_refused", _("was refused for lack of permission")
    RECOVERY_LINK_CREATED = (
        "person.recovery_link_created",
        _("created a link to choose a new password"),
    )
    SIGNED_IN = "person.signed_in", _("signed in")
    SESSIONS_ENDED = "sessions.ended", _("ended sessions")
    SIGN_IN_REFUSED = "sign_in.refused", _("was refused by an identity provider")


class SignInAction(AuditAction):
    """Authentication, and failures of it."""

    FAILED = "sign_in.failed", _("failed to sign in")
    PASSWORD_CHANGED = "sign_in.password_changed", _("changed the password")
    PASSWORD_RESET = "sign_in.password_reset", _("chose a new password by a link")
    RECOVERY_CODE_USED = "sign_in.recovery_code_used", _("used a recovery code")
    RECOVERY_CODES_RENEWED = "sign_in.recovery_codes_renewed", _("made new recovery codes")
    RESET_REQUESTED = "sign_in.reset_requested", _("requested a link for a new password")
    SECOND_STEP_ADDED = "sign_in.second_step_added", _("added a second step")
    SECOND_STEP_FAILED = "sign_in.second_step_failed", _("failed the second step")
    SECOND_STEP_REMOVED = "sign_in.second_step_removed", _("removed a second step")
    THROTTLED = "sign_in.throttled", _("was slowed down after too many attempts")
    TOKEN_REFUSED = "sign_in.token_refused", _("was refused with an API token")


class IdentityProviderAction(AuditAction):
    """Actions on the identity provider of single sign-on."""

    CHANGED = "identity_provider.changed", _("changed the identity provider")
    DISABLED = "identity_provider.disabled", _("switched the identity provider off")
    ENABLED = "identity_provider.enabled", _("switched the identity provider on")
    OPTIONAL = "identity_provider.optional", _("no longer requires single sign-on")
    REQUIRED = "identity_provider.required", _("requires single sign-on")
    PREPARED = "identity_provider.prepared", _("started setting up the identity provider")


class TokenAction(AuditAction):
    """Actions on API tokens."""

    CREATED = "token.created", _("created an API token")
    REVOKED = "token.revoked", _("revoked an API token")


class DivisionAction(AuditAction):
    """Actions on divisions."""

    CHANGED = "division.changed", _("changed the division")
    CREATED = "division.created", _("created the division")
    MEMBERS_CHANGED = "division.members_changed", _("changed the members of the division")
    MERGED = "division.merged", _("merged the division with another")


class TemplateAction(AuditAction):
    """Actions on templates."""

    CHANGED = "template.changed", _("changed the template")
    CREATED = "template.created", _("created the template")
    MERGED = "template.merged", _("merged the template with another")
    SETTINGS_CHANGED = "template.settings_changed", _("changed the template's settings")


class QuarantineAction(AuditAction):
    """Quarantine of the installation."""

    ADOPTED = "quarantine.adopted", _("made this copy the installation that continues")
    ENDED = "quarantine.ended", _("ended the quarantine of the installation")
    REPLACED = "quarantine.replaced", _("let another installation take the place of this one")
    RESTORED = "quarantine.restored", _("restored the installation from a backup, into quarantine")
    STARTED = "quarantine.started", _("put the installation into quarantine")


AUDIT_ACTIONS: tuple[AuditAction, ...] = (
    *OrganisationAction,
    *DomainAction,
    *OperatorAction,
    *PersonAction,
    *SignInAction,
    *IdentityProviderAction,
    *TokenAction,
    *DivisionAction,
    *TemplateAction,
    *QuarantineAction,
)
