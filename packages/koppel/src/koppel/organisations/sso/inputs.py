"""Input of the use case of identity providers."""

from pydantic import Field

from koppel.kit.web.schemas import Input, Name


class ProviderInput(Input):
    """An identity provider as it is filled in. An empty secret keeps the one that is stored."""

    name: Name
    issuer: str
    client_id: str
    client_secret: str = Field("", repr=False)
