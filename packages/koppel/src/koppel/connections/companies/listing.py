"""The list of companies as the vendor gives it, within limits: pages and tables of Koppel show all of it."""

import asyncio
from collections.abc import Sequence

from django.utils.translation import gettext_noop

from koppel.connector.contract import Company, Session
from koppel.connector.errors import UnexpectedResponse, Unreachable
from koppel.connector.registry import connector

COMPANIES_MAX = 10_000
"""Companies that one sign-in reaches; twice as many as the largest firms have."""
SECONDS_MAX = 240
TOO_MANY = gettext_noop(
    "The accounting system lists %(count)s companies for one sign-in. Koppel reads a list of %(max)s at most,"
    " and stored nothing of this one."
)
ENDLESS = gettext_noop("The accounting system's list of companies had no end after %(seconds)s seconds.")


async def list_vendor_companies(connector_key: str, session: Session) -> Sequence[Company]:
    """Return the companies that the session's grant reaches.

    Raises `UnexpectedResponse` for too many, `Unreachable` for a list that does not end, and the connector's
    errors.
    """
    try:
        async with asyncio.timeout(SECONDS_MAX):
            companies = await connector(connector_key).list_companies(session)
    except TimeoutError:
        raise Unreachable("endless_list", ENDLESS, retry_after_seconds=600, seconds=SECONDS_MAX) from None
    if len(companies) > COMPANIES_MAX:
        raise UnexpectedResponse("too_many_companies", TOO_MANY, count=len(companies), max=COMPANIES_MAX)
    return companies
