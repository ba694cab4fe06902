"""Input type of the use case of identity providers."""

from pydantic import Field

from koppel.kit.web.schemas import Input, Name


class ProviderInput(Input):
    """The fields of an identity provider. An empty secret keeps the stored one."""

    name: Name
    issuer: str
    client_id: str
    client_secret: str = Field("", repr=False)
