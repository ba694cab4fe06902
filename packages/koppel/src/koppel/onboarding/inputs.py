"""Input types of the steps of the wizard, for pages and REST."""

from typing import Annotated, Literal

from pydantic import StringConstraints

from koppel.kit.web.schemas import Input

IDENTITY_LENGTH_MAX = 60
IdentityText = Annotated[str, StringConstraints(max_length=IDENTITY_LENGTH_MAX)]


class FlowInput(Input):
    """Either a `system` for a new connection, or the id of a `connection` that exists."""

    system: str = ""
    connection: int | None = None


class SignInInput(Input):
    """`app` is the id of an app registration. `company_ids`: any text that contains ids, for a way to sign in
    that takes them.
    """

    app: int = 0
    company_ids: str = ""


class ChooseInput(Input):
    """The ids of exactly those companies that are to be imported."""

    companies: list[int] = []


class CompanyIdentityInput(Input):
    """A number; or a reason and a sector (letter, name or code). null leaves a value as it is; '' removes it.

    `same_company` answers the question of a row whose name or number differs: true, the same; false, another
    company. `continues` says whether it continues the existing administration with the same number.
    `shared_reason` says why another administration has the same number: several_administrations, branch or
    earlier_administration. `still_client`: true for a deregistered company that is still a client.
    """

    company: int
    number: IdentityText | None = None
    reason: IdentityText | None = None
    sector: IdentityText | None = None
    shared_reason: IdentityText | None = None
    same_company: bool | None = None
    continues: bool | None = None
    still_client: Literal[True] | None = None


class IdentifyInput(Input):
    """The identities of some of the chosen companies."""

    identities: list[CompanyIdentityInput] = []


class AssignInput(Input):
    """Users are added; division and template replace, and null leaves them as they are."""

    companies: list[int] = []
    division: int | None = None
    template: int | None = None
    users: list[int] = []
