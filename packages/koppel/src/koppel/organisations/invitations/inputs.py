"""Input type of the use case of invitations, from page, REST and command line."""

from koppel.kit.web.schemas import Input
from koppel.organisations.inputs import Email, Moment, PersonName
from koppel.organisations.roles import Role


class InvitationInput(Input):
    """`divisions` are ids. `until`: the day on which access ends."""

    email: Email
    name: PersonName = ""
    role: Role = Role.USER
    divisions: list[int] = []
    until: Moment | None = None
