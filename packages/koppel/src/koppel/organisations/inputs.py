"""Input of the organisation's own use case, and types that other inputs share."""

from datetime import datetime
from typing import Annotated, Any

from django.utils.timezone import is_naive, make_aware
from pydantic import AfterValidator

from koppel.kit.web.schemas import Input


def _aware(moment: datetime) -> datetime:
    return make_aware(moment) if is_naive(moment) else moment


Moment = Annotated[datetime, AfterValidator(_aware)]
"""A moment; without a zone it is one of the installation's."""


class OrganisationInput(Input):
    """The name, and all settings beneath every template: what is left out is not set."""

    name: str
    settings: dict[str, Any] = {}
