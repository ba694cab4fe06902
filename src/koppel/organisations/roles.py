"""Roles and permissions: DESIGN's table, said once. Every door asks `Actor.require`."""

from dataclasses import dataclass
from enum import StrEnum

from django.db.models import TextChoices
from django.utils.translation import gettext_lazy as _

from koppel.audit.models import ActorKind, Door
from koppel.audit.services import AuditActor
from koppel.organisations.errors import NotAllowed


class Role(TextChoices):
    ADMINISTRATOR = "administrator", _("Administrator")
    TEAM_LEADER = "team_leader", _("Team leader")
    USER_PLUS = "user_plus", _("User+")
    USER = "user", _("User")
    READER = "reader", _("Reader")


class Permission(StrEnum):
    ORGANISATION = "organisation"
    CONNECTIONS = "connections"
    PEOPLE = "people"
    IMPORT = "import"
    CHANGE_ADMINISTRATIONS = "change_administrations"
    SEE = "see"


_EVERYONE = frozenset(Role)
PERMISSIONS: dict[Permission, frozenset[Role]] = {
    Permission.ORGANISATION: frozenset({Role.ADMINISTRATOR}),
    Permission.CONNECTIONS: frozenset({Role.ADMINISTRATOR, Role.TEAM_LEADER}),
    Permission.PEOPLE: frozenset({Role.ADMINISTRATOR, Role.TEAM_LEADER}),
    Permission.IMPORT: frozenset({Role.ADMINISTRATOR, Role.TEAM_LEADER, Role.USER_PLUS}),
    Permission.CHANGE_ADMINISTRATIONS: _EVERYONE - {Role.READER},
    Permission.SEE: _EVERYONE,
}
SEES_ALL: frozenset[Role] = frozenset({Role.ADMINISTRATOR, Role.TEAM_LEADER})
"""Roles that see every administration that is not restricted; the others see what is assigned to them."""


def lesser(one: Role, other: Role) -> Role:
    """The role of the two that may do less. The roles of `Role` stand from most to least."""
    return max(one, other, key=list(Role).index)


@dataclass(frozen=True)
class Actor:
    """Somebody acting within one organisation. The scope of every query and the subject of every "may I?".

    `token_id` names the API token that the person acts through. `read_only` is kept by the doors: a request that could
    change something is refused before it reaches a view; so is `needs_second_step`, which lets nothing but its own pages in.
    `is_operator`: no member, but whoever operates the installation: let in by the organisation for a while, or at the shell
    (then `user_id` and `membership_id` are 0)."""

    organisation_id: int
    membership_id: int
    user_id: int
    name: str
    role: Role
    from_address: str = ""
    door: Door = Door.SCREEN
    token_id: int | None = None
    token_name: str = ""
    read_only: bool = False
    is_operator: bool = False
    needs_second_step: bool = False
    may_switch: bool = False

    def may(self, permission: Permission) -> bool:
        return self.role in PERMISSIONS[permission]

    def require(self, permission: Permission) -> None:
        """Raises `NotAllowed` when the role lacks the permission."""
        if not self.may(permission):
            raise NotAllowed(permission)

    @property
    def sees_all(self) -> bool:
        return self.role in SEES_ALL

    @property
    def audit(self) -> AuditActor:
        if self.is_operator:
            return AuditActor(ActorKind.OPERATOR, self.user_id or None, self.name, self.from_address, self.door)
        if self.token_id is not None:
            name = f"{self.name} ({self.token_name})"
            return AuditActor(ActorKind.TOKEN, self.user_id, name, self.from_address, self.door)
        return AuditActor(ActorKind.PERSON, self.user_id, self.name, self.from_address, self.door)
