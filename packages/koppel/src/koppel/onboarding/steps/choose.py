"""Step ③ of the wizard: list the companies of the flow's connections, and store which to import."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice
from uuid import UUID

from koppel.administrations.models import Administration
from koppel.audit.services import add_audit_entry
from koppel.audit.subjects import Subject, SubjectKind
from koppel.connections.audit_actions import ConnectionAction
from koppel.connections.hooks import exclude_restricted
from koppel.connections.models import Connection, RemoteCompany
from koppel.connections.queries import companies_of, connections_of
from koppel.kit.database.text_search import normalize_search
from koppel.onboarding.flow import get_flow, save_step
from koppel.onboarding.models import DisplayedIdentity, Flow, Step
from koppel.onboarding.steps.imported import (
    EarlierImport,
    IdentityKey,
    hidden_companies,
    id_kinds,
    identity_key,
    imported_companies,
)
from koppel.organisations.roles import Actor, Permission

NAMES_MAX = 100
"""The most names of companies in one entry of the audit log."""


class ChoiceState(StrEnum):
    """Whether a company can be imported; the values of the page's filter."""

    IMPORTED = "imported"
    UNREACHABLE = "unreachable"
    NEW = "new"


@dataclass(frozen=True, kw_only=True)
class CompanyChoice:
    """A remote company in the wizard."""

    company: RemoteCompany
    account: str
    is_imported: bool = False
    administration_id: int | None = None
    """The administration of an imported company, if the actor may open it."""
    imported_via: str = ""
    """The other account through which an imported company is read, if the actor may open it."""
    id_kind: str = ""
    """The kind of its external id."""

    @property
    def state(self) -> ChoiceState:
        if self.is_imported:
            return ChoiceState.IMPORTED
        return ChoiceState.UNREACHABLE if self.company.unreachable_code else ChoiceState.NEW

    @property
    def can_be_chosen(self) -> bool:
        return self.state is ChoiceState.NEW


def connections_in(actor: Actor, flow: Flow) -> list[Connection]:
    """Return the live connections of the flow."""
    return list(connections_of(actor).filter(pk__in=flow.connection_ids))


def list_company_choices(actor: Actor, flow: Flow) -> list[CompanyChoice]:
    """Return every company that the flow's connections list and the actor may see; `is_imported` counts other
    connections too, and ways to sign in for which the vendor has other ids (`steps.imported`).

    A company that two accounts reach is one choice: the reachable one. A company whose administration is
    restricted to others is left out for every account: even a row without a name would reveal that it exists,
    and to the person who gave the consent which company it is.
    """
    choices_by_external_id: dict[str, CompanyChoice] = {}
    imported, kinds = imported_companies(actor, flow.connector), id_kinds(flow.connector)
    hidden_ids, hidden_identities = hidden_companies(actor, flow.connector)
    administrations = Administration.objects.visible_to(actor)
    visible = set(administrations.values_list("pk", flat=True))
    for connection in connections_in(actor, flow):
        kind = kinds.get(connection.app.consent_mode, "")
        for company in companies_of(actor, connection).exclude(external_id__in=hidden_ids):
            if identity_key(company) in hidden_identities:
                continue
            row = _choice(company, connection, imported.find(company, kind), visible, kind)
            before = choices_by_external_id.get(company.external_id)
            if before is None or (row.can_be_chosen and not before.can_be_chosen):
                choices_by_external_id[company.external_id] = row
    return sorted(
        _without_duplicates(flow, choices_by_external_id.values()),
        key=lambda row: (normalize_search(row.company.name), row.company.pk),
    )


def _choice(
    company: RemoteCompany,
    connection: Connection,
    imported: EarlierImport | None,
    visible: Collection[int],
    id_kind: str,
) -> CompanyChoice:
    if imported is None or imported.administration_id not in visible:
        return CompanyChoice(
            company=company, account=connection.account, is_imported=imported is not None, id_kind=id_kind
        )
    via = imported.account if imported.account != connection.account else ""
    return CompanyChoice(
        company=company,
        account=connection.account,
        is_imported=True,
        administration_id=imported.administration_id,
        imported_via=via,
        id_kind=id_kind,
    )


def _without_duplicates(flow: Flow, choices: Iterable[CompanyChoice]) -> list[CompanyChoice]:
    """Return the choices without companies that another one of them is too, by another kind of id: the chosen
    one stays, else the first.
    """
    chosen = set(flow.chosen_company_ids)
    kept: list[CompanyChoice] = []
    kind_by_identity: dict[IdentityKey, str] = {}
    for row in sorted(choices, key=lambda row: row.company.pk not in chosen):
        key = identity_key(row.company) if row.can_be_chosen else None
        if key is None or kind_by_identity.setdefault(key, row.id_kind) == row.id_kind:
            kept.append(row)
    return kept


def store_choice(actor: Actor, flow: Flow, company_ids: Iterable[int], step: Step = Step.IDENTIFY) -> int:
    """Store the ticked companies that can be chosen, and the step reached with them. Returns their number."""
    selected = set(company_ids)
    offered = [choice.company for choice in list_company_choices(actor, flow) if choice.can_be_chosen]
    flow.offered_company_ids = [company.pk for company in offered]
    flow.chosen_company_ids = [
        company_id for company_id in flow.offered_company_ids if company_id in selected
    ]
    flow.displayed_identities = {
        company.pk: DisplayedIdentity(company.legal_name or company.name, company.number)
        for company in offered
        if company.pk in selected
    }
    save_step(
        flow,
        step if flow.chosen_company_ids else Step.CHOOSE,
        "chosen_company_ids",
        "offered_company_ids",
        "displayed_identities",
    )
    return len(flow.chosen_company_ids)


def save_ticks(actor: Actor, token: UUID, ticked: Collection[int], cleared: Collection[int]) -> list[int]:
    """Tick and clear these companies in the stored choice; other tabs' ticks stay. Returns the choice."""
    flow = get_flow(actor, token, lock=True)
    store_choice(actor, flow, {*flow.chosen_company_ids, *ticked} - {*cleared}, step=Step(flow.step))
    return flow.chosen_company_ids


def merge_other_tabs(actor: Actor, token: UUID, company_ids: Collection[int], base: Collection[int]) -> bool:
    """Store the union of this choice and what other tabs ticked since `base`. Returns whether they did;
    otherwise stores nothing.
    """
    flow = get_flow(actor, token, lock=True)
    others = {*flow.chosen_company_ids} - {*base} - {*company_ids}
    if others:
        store_choice(actor, flow, {*company_ids, *others}, step=Step(flow.step))
    return bool(others)


def preselected_ids(
    flow: Flow, choices: Iterable[CompanyChoice], *, is_one_company_per_sign_in: bool
) -> set[int]:
    """Return the ids that the list shows as ticked.

    The chosen ones, and none at first; with `is_one_company_per_sign_in`, where a person adds one company
    after the other, new ones as well.
    """
    choosable_ids = {choice.company.pk for choice in choices if choice.can_be_chosen}
    chosen_ids = choosable_ids & set(flow.chosen_company_ids)
    if not is_one_company_per_sign_in:
        return chosen_ids
    return chosen_ids | (choosable_ids - set(flow.offered_company_ids))


def can_set_import_policy(actor: Actor, flow: Flow) -> bool:
    """Return whether the actor gave a consent of this flow, and so decides what others may import with it."""
    return actor.can(Permission.MANAGE_CONNECTIONS) and any(
        connection.owner_id == actor.membership_id for connection in connections_in(actor, flow)
    )


def set_companies_importable(
    actor: Actor, flow: Flow, company_ids: Iterable[int], *, importable: bool
) -> int:
    """Let others import these companies through the actor's own connections, or hide them from others.
    Returns the number changed.
    """
    actor.require(Permission.MANAGE_CONNECTIONS)
    connection_ids = [
        connection.pk
        for connection in connections_in(actor, flow)
        if connection.owner_id == actor.membership_id
    ]
    companies = RemoteCompany.objects.for_actor(actor).filter(
        connection_id__in=connection_ids, pk__in=list(company_ids)
    )
    companies_to_change = exclude_restricted(actor, companies).exclude(importable_by_others=importable)
    names = {str(company_id): name for company_id, name in companies_to_change.values_list("pk", "name")}
    companies_to_change.update(importable_by_others=importable)
    if names:
        action = ConnectionAction.COMPANIES_SHARED if importable else ConnectionAction.COMPANIES_HIDDEN
        subject = Subject(SubjectKind.CONNECTION, flow.connection_id)
        add_audit_entry(
            actor.organisation_id,
            actor.audit,
            action,
            subject=subject,
            details={"companies": dict(islice(names.items(), NAMES_MAX))},
        )
    return len(names)
