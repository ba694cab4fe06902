"""Writes a small ledger directly into the tables, so that reads can be tested without a sync."""

from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from types import MappingProxyType
from typing import Any

from koppel.administrations.models import Administration, Assignment
from koppel.books.models import Account, Balance, BookRow, Contact, Entry, EntryLine, Period
from koppel.connections.models import AppRegistration, Connection, Grant, RemoteCompany
from koppel.kit.tenancy import organisation_scope
from koppel.organisations.roles import Actor

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def administration_of(actor: Actor, name: str = "Bakkerij De Haan B.V.", **fields: Any) -> Administration:
    """Create an imported administration with its connection, assigned to no one."""
    with organisation_scope(actor.organisation_id):
        common = {"organisation_id": actor.organisation_id}
        app = AppRegistration.objects.create(
            **common,
            connector="scripted",
            environment="sandbox",
            consent_mode="company_list",
            client_id="c",
            client_secret=b"",
        )
        connection = Connection.objects.create(
            **common,
            connector="scripted",
            app=app,
            owner_id=actor.membership_id,
            account="a@example.test",
            state="active",
        )
        grant = Grant.objects.create(
            **common, connection=connection, subject="s", access_token=b"", issued_at=NOW, expires_at=NOW
        )
        remote = RemoteCompany.objects.create(
            **common, connection=connection, grant=grant, external_id=name, name=name
        )
        values = {"status": "active", **fields}
        return Administration.objects.create(
            **common, connection=connection, remote_company=remote, name=name, **values
        )


def assign(actor: Actor, administration: Administration) -> None:
    with organisation_scope(actor.organisation_id):
        Assignment.objects.create(
            organisation_id=actor.organisation_id,
            administration=administration,
            membership_id=actor.membership_id,
        )


class Ledger:
    """Writes rows of one administration; amounts are given as text."""

    def __init__(self, administration: Administration) -> None:
        self.administration = administration

    def account(self, code: str, name: str, kind: str = "asset", key: str = "") -> None:
        self._store(Account, key or code, code=code, name=name, kind=kind, active=True)

    def contact(self, code: str, name: str, kind: str = "customer") -> None:
        self._store(Contact, f"{kind} {code}", code=code, name=name, kind=kind)

    def period(self, period: str, starts_on: date, ends_on: date) -> None:
        """`period` is `YYYYPP`."""
        days = {"starts_on": starts_on, "ends_on": ends_on}
        year, number = period[:4], int(period[4:])
        self._store(Period, period, period=period, fiscal_year=year, number=number, closed=False, **days)

    def entry(
        self,
        number: str,
        period: str,
        *lines: tuple[str, str, str],
        status: str = "posted",
        contact: str | None = None,
        in_currency: Mapping[str, Any] = MappingProxyType({}),
        **fields: Any,
    ) -> None:
        """`lines` are (account, debit, credit); `contact` and `in_currency` are those of each."""
        values = {
            "journal": "GL",
            "module": "GL",
            "number": number,
            "period": period,
            "status": status,
            "booked_on": date(int(period[:4]), max(1, min(12, int(period[4:6]))), 15),
            "balance_type": "actual",
            "debit_total": sum(Decimal(debit) for _a, debit, _c in lines),
            "credit_total": sum(Decimal(credit) for _a, _d, credit in lines),
        }
        self._store(Entry, f"GL{number}", partition=period, **{**values, **fields})
        for line_number, (account, debit, credit) in enumerate(lines, start=1):
            amounts = {"debit": Decimal(debit), "credit": Decimal(credit), "contact": contact, **in_currency}
            key = f"GL{number}|{line_number}"
            self._store(
                EntryLine, key, entry=f"GL{number}", line_number=line_number, account=account, **amounts
            )

    def balance(
        self, account: str, period: str, opening: str, closing: str, branch: str = "1", part: str = ""
    ) -> None:
        """`part`: what is stated apart within the branch."""
        amounts = {
            "opening": Decimal(opening),
            "closing": Decimal(closing),
            "debit": Decimal(0),
            "credit": Decimal(0),
        }
        key = f"{branch}|{account}|{part}|{period}"
        self._store(
            Balance, key, account=account, period=period, branch=branch, balance_type="actual", **amounts
        )

    def _store(self, model: type[BookRow], external_id: str, **fields: Any) -> None:
        organisation_id = self.administration.organisation_id
        with organisation_scope(organisation_id):
            model._default_manager.create(
                organisation_id=organisation_id,
                administration_id=self.administration.pk,
                external_id=external_id,
                raw=b"{}",
                content_hash=b"",
                first_seen=NOW,
                last_changed=NOW,
                **fields,
            )
