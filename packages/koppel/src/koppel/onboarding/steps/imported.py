"""Find companies that are imported already, also through a way to sign in for which the vendor has other ids.

A vendor's list of companies and its tenants may have no id in common. There, two entries are one company when
country, the number that the accounting system states, and the name are equal. A name alone proves nothing.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from koppel.administrations.access import restricted_company_ids
from koppel.administrations.models import Administration
from koppel.company_registers.company_names import name_without_legal_form
from koppel.company_registers.numbers import check_number
from koppel.connections.models import RemoteCompany
from koppel.connector.registry import connectors
from koppel.organisations.roles import Actor

IDENTITY_COLUMNS = ("country", "number", "vat_number", "legal_name", "name")
IdentityKey = tuple[str, str, str]
"""Country, number and name in normal form."""


@dataclass(frozen=True, kw_only=True)
class EarlierImport:
    """An imported company: its administration, and the account through which it is read."""

    administration_id: int
    account: str
    id_kind: str


@dataclass(frozen=True)
class ImportedCompanies:
    """The imported companies of one system, by the vendor's id and by what identifies them elsewhere."""

    by_external_id: Mapping[str, EarlierImport]
    by_identity: Mapping[IdentityKey, list[EarlierImport]]

    def find(self, company: RemoteCompany, id_kind: str) -> EarlierImport | None:
        """Return how this company is imported; None when it is not. Within one kind of ids, only the id
        counts.
        """
        if same := self.by_external_id.get(company.external_id):
            return same
        others = self.by_identity.get(identity_key(company) or ("", "", ""), [])
        return next((other for other in others if other.id_kind != id_kind), None)


def imported_companies(actor: Actor, connector: str) -> ImportedCompanies:
    """Return the imported companies of this system in the organisation, whoever may see them."""
    kinds = id_kinds(connector)
    administrations = Administration.objects.for_actor(actor).filter(
        remote_company__connection__connector=connector
    )
    company = [f"remote_company__{column}" for column in ("external_id", *IDENTITY_COLUMNS)]
    connection = [f"remote_company__connection__{column}" for column in ("account", "app__consent_mode")]
    rows = administrations.values_list("pk", "withdrawn_at", *connection, *company)
    by_external_id: dict[str, EarlierImport] = {}
    by_identity: dict[IdentityKey, list[EarlierImport]] = {}
    for administration_id, withdrawn_at, account, mode, external_id, *columns in rows:
        earlier_import = EarlierImport(
            administration_id=administration_id, account=account, id_kind=kinds.get(mode, "")
        )
        by_external_id[external_id] = earlier_import
        if withdrawn_at is None and (key := _identity_key(*columns)):
            by_identity.setdefault(key, []).append(earlier_import)
    return ImportedCompanies(by_external_id, by_identity)


def hidden_companies(actor: Actor, connector: str) -> tuple[set[str], set[IdentityKey]]:
    """Return the external ids and identities of companies whose administration is restricted to others."""
    companies = RemoteCompany.objects.for_actor(actor).filter(
        pk__in=restricted_company_ids(actor), connection__connector=connector
    )
    rows = list(companies)
    return {company.external_id for company in rows}, identity_keys(rows)


def identity_keys(companies: Iterable[RemoteCompany]) -> set[IdentityKey]:
    return {key for company in companies if (key := identity_key(company))}


def identity_key(company: RemoteCompany) -> IdentityKey | None:
    """Return what identifies the company over all ways to sign in; None without a number."""
    return _identity_key(*(getattr(company, column) for column in IDENTITY_COLUMNS))


def _identity_key(
    country: str, number: str, vat_number: str, legal_name: str, name: str
) -> IdentityKey | None:
    stated = number.strip() or vat_number.strip()
    if not stated:
        return None
    comparable = check_number(stated, country).number or stated.casefold()
    return country, comparable, name_without_legal_form(legal_name or name)


def id_kinds(connector: str) -> dict[str, str]:
    """Return the kind of the vendor's ids, by consent mode."""
    return {mode.key: mode.company_id_kind for mode in connectors()[connector].descriptor.consent_modes}
