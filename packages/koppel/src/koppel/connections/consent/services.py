"""Finish a sign-in at the vendor: exchange the code, complete a transfer, and list the companies."""

from dataclasses import dataclass

from koppel.connections.companies.discovery import sync_company_list
from koppel.connections.consent.attempts import ConsentOutcome, complete_attempt
from koppel.connections.hooks import connection_reconnected
from koppel.connections.lifecycle.ownership import complete_transfer
from koppel.connections.models import ConsentPurpose
from koppel.kit.tenancy import organisation_scope
from koppel.organisations.roles import Actor


@dataclass(frozen=True)
class SignInResult:
    """A finished sign-in."""

    outcome: ConsentOutcome
    is_transfer_complete: bool
    """Whether the person now owns the connection."""


def finish_sign_in(actor: Actor, attempt_id: int, browser: str) -> SignInResult:
    """Exchange the code, complete a transfer, and list the companies. Outside any transaction.

    `browser` is the value of the browser's cookie. Raises `ConsentRefused` when nothing was connected, and
    `ConnectorError` when the companies could not be listed.
    """
    outcome = complete_attempt(actor, attempt_id, browser)
    is_transfer = outcome.purpose == ConsentPurpose.TRANSFER
    is_transfer_complete = is_transfer and complete_transfer(actor, outcome.connection_id)
    sync_company_list(actor, outcome.connection_id)
    if outcome.purpose == ConsentPurpose.RECONNECT:
        with organisation_scope(actor.organisation_id):
            connection_reconnected(actor, outcome.connection_id)
    return SignInResult(outcome, is_transfer_complete)
