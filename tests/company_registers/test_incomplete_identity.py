"""An unattended import accepts companies without identity and lists them until completed."""

from typing import Any

from koppel.administrations.models import Administration
from koppel.connections.models import Connection, RemoteCompany
from koppel.issues.models import Issue
from koppel.kit.tenancy import organisation_scope
from tests.fixtures.first_steps import Newcomer
from tests.onboarding.wizard_steps import anna, anna_at_list

__all__ = ["anna", "anna_at_list"]


def test_an_unattended_import_takes_all_and_lists_what_is_incomplete(anna_at_list: Newcomer) -> None:
    def call(path: str, body: Any = None) -> Any:
        answer = anna_at_list.client.post(
            f"/api/v1/onboarding/flows{path}", body, content_type="application/json"
        )
        return answer.json()

    with organisation_scope(anna_at_list.actor.organisation_id):
        RemoteCompany.objects.update(country="NL", number="", vat_number="")
        connection_id = Connection.objects.values_list("pk", flat=True).get()
        good, wrong, empty = RemoteCompany.objects.order_by("pk").values_list("pk", flat=True)[:3]
        RemoteCompany.objects.filter(pk=good).update(number="69599084")
        RemoteCompany.objects.filter(pk=wrong).update(number="NL002455799B11")
    base = f"/{call('', {'connection': connection_id})['token']}"
    call(f"{base}/choose", {"companies": [good, wrong, empty]})
    assert call(f"{base}/finish") == {"error": "not_reached"}
    assert call(f"{base}/finish?complete_later=true")["count"] == 3
    with organisation_scope(anna_at_list.actor.organisation_id):
        numbers = dict(Administration.objects.values_list("remote_company_id", "number"))
        assert numbers == {good: "69599084", wrong: "", empty: ""}
        incomplete = Issue.objects.filter(code="identity_incomplete").values_list("subject_id", flat=True)
        lacking = Administration.objects.filter(remote_company_id__in=[wrong, empty]).values_list(
            "pk", flat=True
        )
        assert set(incomplete) == set(lacking)
