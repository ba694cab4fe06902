"""Input type of the organisation's use case, and types that other inputs share."""

from datetime import datetime
from typing import Annotated, Any

from django.utils.timezone import is_naive, make_aware
from pydantic import AfterValidator, StringConstraints

from koppel.kit.web.schemas import Input, OneLine


def _aware(moment: datetime) -> datetime:
    return make_aware(moment) if is_naive(moment) else moment


Moment = Annotated[datetime, AfterValidator(_aware)]
"""A moment; without a zone it is one of the installation's."""


ORGANISATION_NAME_LENGTH_MAX = 200
OrganisationName = Annotated[
    str, StringConstraints(strip_whitespace=True, max_length=ORGANISATION_NAME_LENGTH_MAX), OneLine
]
PERSON_NAME_LENGTH_MAX = 200
PersonName = Annotated[
    str, StringConstraints(strip_whitespace=True, max_length=PERSON_NAME_LENGTH_MAX), OneLine
]
EMAIL_LENGTH_MAX = 254
Email = Annotated[str, StringConstraints(strip_whitespace=True, max_length=EMAIL_LENGTH_MAX), OneLine]
"""The text of an e-mail address. A use case checks that it is one."""
DOMAIN_LENGTH_MAX = 253


class DomainInput(Input):
    """An e-mail domain to verify."""

    domain: Annotated[str, StringConstraints(strip_whitespace=True, max_length=DOMAIN_LENGTH_MAX), OneLine]


class OrganisationInput(Input):
    """The name, and all settings beneath every template: what is left out is not set."""

    name: OrganisationName
    settings: dict[str, Any] = {}
