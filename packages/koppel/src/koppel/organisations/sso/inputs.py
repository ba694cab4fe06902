"""Input of the use case of identity providers."""

from pydantic import Field

from koppel.kit.web.schemas import Input


class ProviderInput(Input):
    """The fields of an identity provider. An empty secret keeps the stored one."""

    name: str
    issuer: str
    client_id: str
    client_secret: str = Field("", repr=False)
