"""Input types of the use cases of people, from page, REST and command line."""

from koppel.kit.web.schemas import Input
from koppel.organisations.inputs import Moment
from koppel.organisations.people.services import MembershipTerms
from koppel.organisations.roles import Role


class AccessInput(Input):
    """A member's whole access: omitted fields get these defaults. `divisions` are ids."""

    role: Role
    active: bool = True
    expires_at: Moment | None = None
    divisions: list[int] = []

    @property
    def terms(self) -> MembershipTerms:
        """The input as the terms that services compare."""
        return MembershipTerms(
            role=self.role,
            is_active=self.active,
            expires_at=self.expires_at,
            divisions=frozenset(self.divisions),
        )


class HandOverInput(Input):
    """`to` is the id of the colleague; `deactivate` also ends the first member's access."""

    to: int
    deactivate: bool = False
