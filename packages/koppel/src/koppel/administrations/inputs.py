"""Input types of the use cases of administrations."""

from typing import Any

from koppel.kit.web.schemas import Day, Input


class AdministrationInput(Input):
    """Absent fields stay as they are. `division` and `template` null: none. `add` and `remove` are ids of
    memberships.
    """

    division: int | None = None
    template: int | None = None
    add: list[int] = []
    remove: list[int] = []
    sector: str | None = None
    number: str | None = None
    client_number: str | None = None


class SettingsInput(Input):
    """Own values; null gives a setting back to template or organisation."""

    values: dict[str, Any]


class RestrictionInput(Input):
    """The access to an administration.

    `people` are ids of memberships: the only ones if `restricted`, otherwise added to the assigned ones.
    """

    restricted: bool
    people: list[int] = []


class IdentityInput(Input):
    """A number; or a reason and the letter of a sector. `same_company`: a person has confirmed that a number
    which the register knows by another name is this company's.
    """

    number: str = ""
    reason: str = ""
    sector: str = ""
    same_company: bool = False


class OffboardingInput(Input):
    """The day on which the client left, and the day on which its books are erased."""

    client_left_on: Day
    erase_on: Day


class PredecessorInput(Input):
    """The id of the administration that this one continues; null removes the link."""

    administration: int | None


class WithdrawalInput(Input):
    """The administration's name, so that no other one is erased by a wrong number."""

    name: str


class BulkInput(Input):
    """`action` with `params` of its own, as `GET /api/v1/administrations/bulk/actions` lists them. On `ids`,
    or with `filter` (the list's address bar; '' is everything) on all that match. An unknown filter or value
    is refused, and a filter part without effect. `start` false: only a preview.
    """

    action: str
    params: dict[str, Any] = {}
    ids: list[int] = []
    filter: str | None = None
    start: bool = False
