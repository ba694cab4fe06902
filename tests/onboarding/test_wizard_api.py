"""The steps of the wizard over REST."""

from typing import Any
from urllib.parse import urlsplit

from koppel.connections.models import Connection, RemoteCompany
from koppel.kit.tenancy import organisation_scope
from koppel.onboarding.models import Flow
from tests.fixtures.first_steps import Newcomer
from tests.fixtures.stack import register_app
from tests.onboarding.wizard_steps import KVK, anna, anna_at_list, choose, companies, imported

__all__ = ["anna", "anna_at_list"]


def test_over_rest_only_what_differs_is_given(anna_at_list: Newcomer) -> None:
    first = companies(anna_at_list)[0].pk
    with organisation_scope(anna_at_list.actor.organisation_id):
        RemoteCompany.objects.update(country="NL", number="", vat_number="")
    choose(anna_at_list, first)
    base = f"/api/v1/onboarding/flows/{anna_at_list.flow.strip('/').split('/')[-1]}"

    def identify_over_rest(**typed: str) -> Any:
        body = {"identities": [{"company": first, **typed}]}
        return anna_at_list.client.post(f"{base}/identify", body, content_type="application/json").json()

    assert identify_over_rest(reason="private_person")["errors"][0]["field"] == "sector"
    assert identify_over_rest(sector="Onderwijs")["result"] == "advance"
    (identity,) = anna_at_list.client.get(f"{base}/identities").json()
    assert (identity["reason"], identity["is_complete"]) == ("private_person", True)
    assert identify_over_rest(reason="")["result"] == "errors", "'' takes away what stood there"
    with organisation_scope(anna_at_list.actor.organisation_id):
        RemoteCompany.objects.update(number=KVK)
        Flow.objects.update(typed_identities={})
    assert identify_over_rest(reason="test_demo", sector="Onderwijs")["result"] == "advance"
    (identity,) = anna_at_list.client.get(f"{base}/identities").json()
    assert (identity["number"], identity["reason"]) == ("", "test_demo"), (
        "a guess is no number that was given"
    )


def test_the_same_steps_over_rest(anna_at_list: Newcomer) -> None:
    api = anna_at_list.client

    def call(method: str, path: str, body: Any = None) -> Any:
        answer = getattr(api, method)(
            f"/api/v1/onboarding/flows{path}", body, content_type="application/json"
        )
        return answer.status_code, answer.json()

    with organisation_scope(anna_at_list.actor.organisation_id):
        RemoteCompany.objects.update(country="NL", number="", vat_number="")
        connection_id = Connection.objects.values_list("pk", flat=True).get()
    status, flow = call("post", "", {"connection": connection_id})
    assert (status, flow["step"]) == (200, "choose")
    base = f"/{flow['token']}"
    first, second = (one["id"] for one in call("get", f"{base}/companies")[1][:2])
    assert call("post", f"{base}/finish")[1] == {"error": "not_reached"}
    assert call("post", f"{base}/choose", {"companies": []})[1]["result"] == "errors"
    assert call("post", f"{base}/choose", {"companies": [first, second]})[1]["step"] == "identify"
    outcome = call("post", f"{base}/identify", {"identities": [{"company": first, "number": KVK}]})[1]
    assert [(one["company"], one["field"], one["code"]) for one in outcome["errors"]] == [
        (second, "number", "missing")
    ]
    typed = {"identities": [{"company": second, "reason": "test_demo", "sector": "Onderwijs"}]}
    assert call("post", f"{base}/identify", typed)[1]["result"] == "advance"
    assert [one["is_complete"] for one in call("get", f"{base}/identities")[1]] == [True, True]
    assert call("post", f"{base}/assign", {"companies": [first], "users": []})[1]["result"] == "advance"
    done = call("post", f"{base}/finish")[1]
    assert (done["result"], done["count"]) == ("complete", 2)
    assert call("post", f"{base}/finish")[1]["import_id"] == done["import_id"]
    look = api.get(f"/api/v1/imports/{done['import_id']}").json()
    assert (look["total"], look["is_finished"]) == (2, False)
    assert len(imported(anna_at_list.actor)) == 2


def test_over_rest_a_person_signs_in_elsewhere_and_a_flow_can_be_dropped(anna: Newcomer) -> None:
    app = register_app(anna.sandbox)
    flow = anna.client.post(
        "/api/v1/onboarding/flows", {"system": "visma_net"}, content_type="application/json"
    ).json()
    base = f"/api/v1/onboarding/flows/{flow['token']}"
    assert flow["consent_modes"][0]["app"] == app.pk
    outcome = anna.client.post(f"{base}/sign-in", {"app": app.pk}, content_type="application/json").json()
    assert (outcome["result"], urlsplit(outcome["url"]).path) == (
        "external",
        f"/connections/new/{flow['token']}/sign-in",
    )
    anna.flow = f"/connections/new/{flow['token']}/"
    anna.return_with(anna.sandbox.sign_in(anna.sign_in_again(app.pk)))
    assert anna.client.get(base).json()["step"] == "choose"
    assert anna.client.delete(base).json()["result"] == "abort"
    assert anna.client.get(base).status_code == 404
