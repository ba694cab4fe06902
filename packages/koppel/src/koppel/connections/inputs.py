"""The inputs of the use cases of connections, from page, REST and command line."""

from pydantic import AwareDatetime, ConfigDict

from koppel.connections.hooks import RemovalPolicy
from koppel.connections.models import ImportPolicy
from koppel.kit.encryption import Secret
from koppel.kit.web.schemas import Input, Name


class ChangeResolution(Input):
    """`accept`: apply the change, or leave the administration unchanged; for other_company: whether it is the
    same company. `viewed_at`: when you read the changes; changes after that time are refused. `fingerprints`:
    the fingerprints of the changes that you read; if a current change has another fingerprint, nothing is
    resolved. For other_company `viewed_at` must be given. `same_company`: a person has confirmed that a new
    number, which the register knows by another name, is this company's.
    """

    administrations: list[int] = []
    code: str = ""
    accept: bool | None = None
    viewed_at: AwareDatetime | None = None
    fingerprints: list[str] = []
    same_company: bool = False


class RemovalInput(Input):
    """`policy`: move (those that another connection reaches), wait, or deactivate."""

    policy: RemovalPolicy
    fingerprint: str | None = None


class TransferInput(Input):
    """The id of the member who takes over."""

    member: int


class ImportPolicyInput(Input):
    """Which companies others than the owner may import. `companies` are ids, for the policy `selected`."""

    policy: ImportPolicy
    companies: list[int] = []


class AppRegistrationInput(Input):
    """The fields of an app registration.

    `client_secret` None keeps the stored one. `refresh_token_days` is what was chosen in the vendor's portal;
    None = unknown, so that no notification is sent before a consent ends.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    connector: str
    environment: str
    consent_mode: str
    client_id: str
    client_secret: Secret | None
    name: Name = ""
    refresh_token_days: int | None = None
