"""A list of companies that is too long, or does not end, is refused whole, with a sentence."""

import pytest

from koppel.connections.companies import listing
from koppel.connections.companies.discovery import sync_company_list
from koppel.connector.errors import UnexpectedResponse, Unreachable
from tests.connections.factories import companies
from tests.fixtures.stack import MakeConnected


def test_a_list_of_too_many_companies_is_refused_with_a_sentence(
    connected: MakeConnected, monkeypatch: pytest.MonkeyPatch
) -> None:
    firm = connected()
    listed = companies(firm)
    monkeypatch.setattr(listing, "COMPANIES_MAX", len(listed) - 1)
    with pytest.raises(UnexpectedResponse, match=f"lists {len(listed)} companies for one sign-in"):
        sync_company_list(firm.actor, firm.connection.pk)
    assert companies(firm) == listed, "Nothing of it was stored."
    monkeypatch.setattr(listing, "COMPANIES_MAX", len(listed))
    assert sync_company_list(firm.actor, firm.connection.pk) == len(listed)


def test_a_list_without_an_end_is_given_up(connected: MakeConnected, monkeypatch: pytest.MonkeyPatch) -> None:
    firm = connected()
    monkeypatch.setattr(listing, "SECONDS_MAX", 0)
    with pytest.raises(Unreachable, match="had no end after 0 seconds"):
        sync_company_list(firm.actor, firm.connection.pk)
