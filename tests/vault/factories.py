"""Creates many consents at once, stored as a sign-in would store them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from koppel.connections.models import AppRegistration, Connection, Grant
from koppel.connections.vault.grants import store_grant
from koppel.connector.contract import Tokens
from koppel.kit.clock import now
from koppel.kit.encryption import Secret
from koppel.kit.tenancy import organisation_scope
from koppel.organisations.roles import Actor
from tests.fixtures.stack import CLIENTS, Sandbox


@dataclass(frozen=True, kw_only=True)
class GrantedAccess:
    """A stored consent, and the vendor's name for its family of tokens."""

    organisation_id: int
    connection_id: int
    grant_id: int
    family: str

    def row(self) -> Grant:
        with organisation_scope(self.organisation_id):
            return Grant.objects.select_related("connection__app").get(pk=self.grant_id)

    def change(self, **values: Any) -> None:
        with organisation_scope(self.organisation_id):
            Grant.objects.filter(pk=self.grant_id).update(**values)


def connection_of(actor: Actor, app: AppRegistration, account: str = "demo@sandbox.example") -> Connection:
    with organisation_scope(actor.organisation_id):
        return Connection.objects.create(
            organisation_id=actor.organisation_id,
            connector=app.connector,
            app=app,
            owner_id=actor.membership_id,
            account=account,
            state="active",
        )


def create_grants(
    sandbox: Sandbox,
    connection: Connection,
    count: int = 1,
    *,
    mode: str = "company_list",
    expired: bool = True,
) -> list[GrantedAccess]:
    """`count` consents of one connection.

    `expired`: their access tokens end now, so the next use renews them.
    """
    payload = {"client_id": CLIENTS[mode], "count": count}
    answers = sandbox.control("grants", payload)["grants"]
    granted = []
    with organisation_scope(connection.organisation_id):
        for number, answer in enumerate(answers):
            tokens = tokens_of(answer)
            if expired:
                tokens = replace(tokens, issued_at=now() - timedelta(hours=1), expires_at=now())
            grant = store_grant(
                connection.organisation_id, connection, f"{answer['subject']}/{number}", "", tokens
            )
            granted.append(
                GrantedAccess(
                    organisation_id=connection.organisation_id,
                    connection_id=connection.pk,
                    grant_id=grant.pk,
                    family=answer["family"],
                )
            )
    return granted


def tokens_of(answer: dict[str, Any]) -> Tokens:
    refresh, at = answer.get("refresh_token"), now()
    ends = at + timedelta(seconds=answer["expires_in"])
    return Tokens(
        access_token=Secret(answer["access_token"]),
        refresh_token=Secret(refresh) if refresh else None,
        issued_at=at,
        expires_at=ends,
    )


def expire(granted: Sequence[GrantedAccess], at: datetime | None = None) -> None:
    """The access tokens of these end now (or then)."""
    ends = at or now()
    with organisation_scope(granted[0].organisation_id):
        Grant.objects.filter(pk__in=[grant.grant_id for grant in granted]).update(
            issued_at=ends - timedelta(hours=1), expires_at=ends
        )
