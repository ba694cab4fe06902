"""Roles and permissions. Pages, API, commands and jobs all check with `Actor.require`."""

from dataclasses import dataclass
from enum import StrEnum

from django.db.models import TextChoices
from django.utils.translation import gettext_lazy as _

from koppel.audit.models import ActorKind, Interface
from koppel.audit.services import AuditActor
from koppel.organisations.errors import NotAllowed


class Role(TextChoices):
    ADMINISTRATOR = "administrator", _("Administrator")
    TEAM_LEADER = "team_leader", _("Team leader")
    USER_PLUS = "user_plus", _("User+")
    USER = "user", _("User")
    READER = "reader", _("Reader")


class Permission(StrEnum):
    MANAGE_ORGANISATION = "organisation"
    MANAGE_CONNECTIONS = "connections"
    MANAGE_PEOPLE = "people"
    IMPORT_ADMINISTRATIONS = "import"
    CHANGE_ADMINISTRATIONS = "change_administrations"
    """Also: start a sync, and change many administrations at once."""
    VIEW = "see"


_EVERYONE = frozenset(Role)
PERMISSIONS: dict[Permission, frozenset[Role]] = {
    Permission.MANAGE_ORGANISATION: frozenset({Role.ADMINISTRATOR}),
    Permission.MANAGE_CONNECTIONS: frozenset({Role.ADMINISTRATOR, Role.TEAM_LEADER}),
    Permission.MANAGE_PEOPLE: frozenset({Role.ADMINISTRATOR, Role.TEAM_LEADER}),
    Permission.IMPORT_ADMINISTRATIONS: frozenset({Role.ADMINISTRATOR, Role.TEAM_LEADER, Role.USER_PLUS}),
    Permission.CHANGE_ADMINISTRATIONS: _EVERYONE - {Role.READER},
    Permission.VIEW: _EVERYONE,
}
SEES_ALL: frozenset[Role] = frozenset({Role.ADMINISTRATOR, Role.TEAM_LEADER})
"""Roles that see every administration that is not restricted; the others see what is assigned to them."""


def least_privileged(first: Role, second: Role) -> Role:
    """Return the role with fewer permissions. `Role` is ordered from most to least."""
    return max(first, second, key=list(Role).index)


@dataclass(frozen=True, kw_only=True)
class Actor:
    """A person, API token or operator that acts within one organisation: the scope of every query and the
    subject of every permission check.

    The middleware enforces the restrictions (`read_only`, `must_enrol_mfa`, `is_outside_networks`,
    `must_use_sso`) before a request reaches a view.
    """

    organisation_id: int
    membership_id: int
    """0 for an operator at the shell."""
    user_id: int
    """0 for an operator at the shell."""
    name: str
    """The name that the audit log shows."""
    role: Role
    """The role whose permissions apply."""
    ip_address: str = ""
    """The client's address; '' without a request."""
    interface: Interface = Interface.WEB
    """The interface through which the actor acts."""
    token_id: int | None = None
    """The API token in use; None for a person or an operator."""
    token_name: str = ""
    """The name of that token."""
    read_only: bool = False
    """Requests that could change something are refused."""
    is_operator: bool = False
    """No member, but an operator of the installation: let in by the organisation for a while, or at the
    shell.
    """
    must_enrol_mfa: bool = False
    """Only the pages for enrolling in two-step verification are open."""
    is_outside_networks: bool = False
    """The address is outside of the networks from which the organisation admits members."""
    must_use_sso: bool = False
    """The organisation requires its identity provider, which did not open this session."""
    may_switch: bool = False
    """The person is a member of another organisation too."""

    def can(self, permission: Permission) -> bool:
        return self.role in PERMISSIONS[permission]

    def require(self, permission: Permission) -> None:
        """Require a permission. Raises `NotAllowed` when the role lacks it."""
        if not self.can(permission):
            raise NotAllowed(permission)

    @property
    def sees_all_administrations(self) -> bool:
        return self.role in SEES_ALL

    @property
    def audit(self) -> AuditActor:
        kind, name = ActorKind.PERSON, self.name
        user_id: int | None = self.user_id
        if self.is_operator:
            kind, user_id = ActorKind.OPERATOR, self.user_id or None
        elif self.token_id is not None:
            kind, name = ActorKind.TOKEN, f"{self.name} ({self.token_name})"
        return AuditActor(
            kind=kind, id=user_id, name=name, ip_address=self.ip_address, interface=self.interface
        )
