"""A new company with the number of an administration is offered as its continuation; a person answers."""

from koppel.audit.models import AuditEntry
from koppel.connections.models import RemoteCompany
from koppel.kit.tenancy import organisation_scope
from tests.books.factories import administration_of
from tests.fixtures.first_steps import Newcomer
from tests.onboarding.wizard_steps import (
    KVK,
    anna,
    anna_at_list,
    choose,
    companies,
    identify,
    imported,
    newest_flow,
    read_page_text,
    typed_number,
)

__all__ = ["anna", "anna_at_list"]


def test_a_company_with_the_number_of_an_administration_is_offered_as_its_continuation(
    anna_at_list: Newcomer,
) -> None:
    predecessor = administration_of(
        anna_at_list.actor, "Bakkerij X", number=KVK, number_scheme="0106", country="NL"
    )
    with organisation_scope(anna_at_list.actor.organisation_id):
        RemoteCompany.objects.exclude(name="Bakkerij X").update(country="NL", number="", vat_number="")
    first, second, *_others = (
        company.pk for company in companies(anna_at_list) if company.name != "Bakkerij X"
    )
    choose(anna_at_list, first, second)
    typed = {first: typed_number(), second: {"reason": "test_demo", "sector": "N"}}
    identify(anna_at_list, typed)
    assert "Bakkerij X</strong>" in read_page_text(anna_at_list.client.get(f"{anna_at_list.flow}identify"))
    path = f"/api/v1/onboarding/flows/{newest_flow(anna_at_list).token}"

    def offered() -> dict[int, tuple[int | None, bool | None]]:
        rows = anna_at_list.client.get(f"{path}/identities").json()
        return {row["company"]: (row["predecessor"], row["continues"]) for row in rows}

    assert offered() == {first: (predecessor.pk, None), second: (None, None)}
    for button, answer in ((f"separate-{first}", False), (f"continues-{first}", True)):
        anna_at_list.client.post(f"{anna_at_list.flow}identify", {"action": button})
        assert offered()[first] == (predecessor.pk, answer)
    for continues in (False, True):
        body = {"identities": [{"company": first, "continues": continues}]}
        anna_at_list.client.post(f"{path}/identify", body, "application/json")
        assert offered()[first] == (predecessor.pk, continues)
    anna_at_list.client.post(f"{anna_at_list.flow}assign", {"action": "finish", "company": [first]})
    new = {it.remote_company_id: it.predecessor_id for it in imported(anna_at_list.actor)}
    assert (new[first], new[second]) == (predecessor.pk, None)
    with organisation_scope(anna_at_list.actor.organisation_id):
        entry = AuditEntry.objects.get(action="administration.predecessor_set")
    assert (entry.subject_id, entry.details["after"]) == (
        next(it.pk for it in imported(anna_at_list.actor) if it.remote_company_id == first),
        predecessor.pk,
    )
