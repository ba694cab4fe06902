"""A new company with the number of an administration is offered as its continuation; a person answers."""

from koppel.audit.models import AuditEntry
from koppel.connections.models import RemoteCompany
from koppel.kit.tenancy import organisation_scope
from tests.books.factories import administration_of
from tests.fixtures.first_steps import Newcomer
from tests.onboarding.test_wizard import (
    KVK,
    anna,  # noqa: F401 - fixture
    choose,
    companies,
    identify,
    imported,
    listed,  # noqa: F401 - fixture
    newest_flow,
    read_page_text,
    typed_number,
)


def test_a_company_with_the_number_of_an_administration_is_offered_as_its_continuation(
    listed: Newcomer,  # noqa: F811
) -> None:
    predecessor = administration_of(
        listed.actor, "Bakkerij X", number=KVK, number_scheme="0106", country="NL"
    )
    with organisation_scope(listed.actor.organisation_id):
        RemoteCompany.objects.exclude(name="Bakkerij X").update(country="NL", number="", vat_number="")
    first, second, *_others = (company.pk for company in companies(listed) if company.name != "Bakkerij X")
    choose(listed, first, second)
    typed = {first: typed_number(), second: {"reason": "test_demo", "sector": "N"}}
    identify(listed, typed)
    assert "Bakkerij X</strong>" in read_page_text(listed.client.get(f"{listed.flow}identify"))
    path = f"/api/v1/onboarding/flows/{newest_flow(listed).token}"

    def offered() -> dict[int, tuple[int | None, bool | None]]:
        rows = listed.client.get(f"{path}/identities").json()
        return {row["company"]: (row["predecessor"], row["continues"]) for row in rows}

    assert offered() == {first: (predecessor.pk, None), second: (None, None)}
    for button, answer in ((f"separate-{first}", False), (f"continues-{first}", True)):
        listed.client.post(f"{listed.flow}identify", {"action": button})
        assert offered()[first] == (predecessor.pk, answer)
    for continues in (False, True):
        body = {"identities": [{"company": first, "continues": continues}]}
        listed.client.post(f"{path}/identify", body, "application/json")
        assert offered()[first] == (predecessor.pk, continues)
    listed.client.post(f"{listed.flow}assign", {"action": "finish", "company": [first]})
    new = {it.remote_company_id: it.predecessor_id for it in imported(listed.actor)}
    assert (new[first], new[second]) == (predecessor.pk, None)
    with organisation_scope(listed.actor.organisation_id):
        entry = AuditEntry.objects.get(action="administration.predecessor_set")
    assert (entry.subject_id, entry.details["after"]) == (
        next(it.pk for it in imported(listed.actor) if it.remote_company_id == first),
        predecessor.pk,
    )
