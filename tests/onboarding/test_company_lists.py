"""Lists of companies in the wizard: pasted, collected by sign-ins or tenant ids, and thousands long."""

from typing import Any
from uuid import uuid4

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from koppel.connections.consent import service_companies
from koppel.connections.models import Connection, RemoteCompany
from koppel.kit.tenancy import organisation_scope
from koppel.onboarding.steps.identify import list_answers
from tests.fixtures.first_steps import Newcomer, newcomer, path_of
from tests.fixtures.stack import CLIENTS, Sandbox, register_app
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
)

__all__ = ["anna", "anna_at_list"]


def test_a_pasted_list_matches_rows_and_reports_the_others(anna_at_list: Newcomer) -> None:
    with organisation_scope(anna_at_list.actor.organisation_id):
        RemoteCompany.objects.update(country="NL", number="", vat_number="")
    first, second = companies(anna_at_list)[:2]
    choose(anna_at_list, first.pk, second.pk)
    pasted = (
        f"Naam;KvK;Reden;Sector\n{second.name.upper()};;test / "
        f"demo;Onderwijs\n{first.name};{KVK};;\nNiemand;1;;"
    )
    page = anna_at_list.client.post(
        f"{anna_at_list.flow}identify", {"action": "fill", "pasted": pasted}, follow=True
    )
    assert "2 rows filled in." in read_page_text(page)
    assert "Niemand: no administration has this name" in read_page_text(page)
    refused = f"Naam;Sector;Reden;Plaats\n{first.name};G;;Assen\n{second.name};G;soms;Assen"
    form = {"action": "fill", "file": SimpleUploadedFile("lijst.csv", refused.encode("utf-16"))}
    page = anna_at_list.client.post(f"{anna_at_list.flow}identify", form, follow=True)
    assert "1 row filled in." in read_page_text(page)
    assert "“soms” is not a reason" in read_page_text(page)
    assert "Columns not used: Plaats" in read_page_text(page)
    workbook = {
        "action": "fill",
        "file": SimpleUploadedFile("lijst.csv", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"),
    }
    page = anna_at_list.client.post(f"{anna_at_list.flow}identify", workbook, follow=True)
    assert "This is a workbook, not a CSV file." in read_page_text(page)
    with organisation_scope(anna_at_list.actor.organisation_id):
        flow = newest_flow(anna_at_list)
        identities = [list_answers(flow, [company.pk])[0] for company in (first, second)]
    assert [(row.number, row.reason, row.sector) for row in identities] == [
        (KVK, "", "G"),
        ("", "test_demo", "Q"),
    ]
    bare = f"{first.name}\t\tTest / demo\tBouw\n{second.name}\t\t\t"
    page = anna_at_list.client.post(
        f"{anna_at_list.flow}identify", {"action": "fill", "pasted": bare}, follow=True
    )
    assert "1 row filled in." in read_page_text(page)
    assert f"{second.name}: no number, no reason and no sector on this line" in read_page_text(page)
    template = anna_at_list.client.get(f"{anna_at_list.flow}identify/template.csv")
    uploaded = {"action": "fill", "file": SimpleUploadedFile("numbers.csv", template.content)}
    assert "2 rows filled in." in read_page_text(
        anna_at_list.client.post(f"{anna_at_list.flow}identify", uploaded, follow=True)
    )
    too_many = {"action": "fill", "pasted": "69599084\n" * 5001}
    page = anna_at_list.client.post(f"{anna_at_list.flow}identify", too_many, follow=True)
    assert "5000" in read_page_text(page).replace(",", "")
    assert "filled in" not in read_page_text(page)
    assert path_of(identify(anna_at_list, {})) == f"{anna_at_list.flow}assign"


@pytest.mark.usefixtures("worker")
def test_companies_are_collected_one_sign_in_after_the_other(anna: Newcomer, sandbox: Sandbox) -> None:
    app, sandbox_companies = register_app(sandbox, "company_per_sign_in"), sandbox.companies()
    page = anna.connect(app.pk, tenant=sandbox_companies[0]["tenant_id"])
    assert "1 administration found" in read_page_text(page)
    assert "Use a service account of your firm" in read_page_text(anna.client.get(f"{anna.flow}sign-in"))
    page = anna.return_with(
        sandbox.sign_in(anna.sign_in_again(app.pk, another="1"), tenant=sandbox_companies[1]["tenant_id"])
    )
    assert "2 administrations found" in read_page_text(page)
    page = anna.return_with(
        sandbox.sign_in(
            anna.sign_in_again(app.pk, another="1"), tenant=sandbox_companies[2]["tenant_id"], answer="no"
        )
    )
    assert "2 administrations found" in read_page_text(page), "cancelling one keeps the rest"
    assert path_of(page) == f"{anna.flow}choose"
    page = anna.return_with(
        sandbox.sign_in(anna.sign_in_again(app.pk, another="1"), user="small@sandbox.example")
    )
    assert "2 administrations found" in read_page_text(page), (
        "another account that reaches the same company adds no second row"
    )
    assert {one.name for one in companies(anna)} == {
        sandbox_companies[0]["name"],
        sandbox_companies[1]["name"],
    }
    with organisation_scope(anna.actor.organisation_id):
        accounts = set(Connection.objects.values_list("account", flat=True))
    assert accounts == {"demo@sandbox.example", "small@sandbox.example"}


@pytest.mark.usefixtures("worker")
@pytest.mark.parametrize("language", ["en", "nl"])
def test_tenant_ids_are_probed_with_a_result_per_line(actor: Any, sandbox: Sandbox, language: str) -> None:
    from tests.fixtures.stack import wait_until

    anna, app, sandbox_companies = (
        newcomer(actor(), sandbox, language),
        register_app(sandbox, "service"),
        sandbox.companies(),
    )
    sandbox.client(
        CLIENTS["service"],
        approved=[
            company["tenant_id"] for company in sandbox_companies if company is not sandbox_companies[1]
        ],
    )
    sandbox.control(f"companies/{sandbox_companies[2]['id']}", {"licensed": False})
    good, unapproved, unlicensed = (one["tenant_id"] for one in sandbox_companies[:3])
    lines = [
        "Name;Tenant id",
        f"A;{good.upper()}",
        f"B;{unapproved}",
        f"C;{unlicensed}",
        f"D;{sandbox_companies[3]['customer_tenant_id']}",
        f"again {good}",
        "0a1b2c3d-not-an-id",
    ]
    location = anna.client.post("/connections/new/", {"connector": "visma_net"}).headers["Location"]
    anna.flow = location.removesuffix("sign-in")
    file = SimpleUploadedFile("tenants.csv", "\r\n".join(lines[:4]).encode("utf-16"), content_type="text/csv")
    typed = (
        {"company_ids": "\n".join(lines[4:]), "file": file}
        if language == "nl"
        else {"company_ids": "\n".join(lines)}
    )
    too_many = "\n".join(str(uuid4()) for _ in range(5001))
    refused = anna.client.post(location, {"app": app.pk, "company_ids": too_many})
    assert ("Add at most 5000 at once" if language == "en" else "hoogstens 5000 tegelijk") in read_page_text(
        refused
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(service_companies, "WAITING_MAX", 3)
        refused = anna.client.post(location, {"app": app.pk, "company_ids": "\n".join(lines)})
        assert ("at most 3 may wait" if language == "en" else "hoogstens 3 wachten") in read_page_text(
            refused
        )
    page = anna.client.post(location, {"app": app.pk, **typed}, follow=True)
    assert path_of(page) == f"{anna.flow}choose"
    assert ("4 ids found. 1 duplicate skipped." if language == "en" else "4 id’s gevonden") in read_page_text(
        page
    )
    assert ("No id found in" if language == "en" else "Geen id gevonden in") in read_page_text(page)
    wait_until(lambda: all(one.described_at for one in companies(anna)))
    page = read_page_text(anna.client.get(f"{anna.flow}choose"))
    assert sandbox_companies[0]["name"] in page
    assert page.count('name="company"') == 1
    big = SimpleUploadedFile("all.csv", f"{good}\n".encode() * 60_000)
    answer = anna.client.post(f"{anna.flow}sign-in", {"app": app.pk, "file": big})
    assert ("larger than 2 MB" if language == "en" else "groter dan 2 MB") in read_page_text(answer)
    for sentence in RESULTS[language]:
        assert sentence in page
    sandbox.client(CLIENTS["service"], approved=None)
    anna.client.post(f"{anna.flow}choose", {"action": "retry"})
    wait_until(lambda: all(one.described_at for one in companies(anna)))
    assert read_page_text(anna.client.get(f"{anna.flow}choose")).count('name="company"') == 2
    anna.client.post(f"{anna.flow}choose", {"action": "remove_unreachable"})
    assert {one.external_id for one in companies(anna)} == {good, unapproved}


RESULTS = {
    "en": (
        "its administrator has not approved Koppel in the Visma App Store",
        "the licence has ended",
        "the tenant id of the customer, not of the company",
    ),
    "nl": (
        "de beheerder ervan heeft Koppel niet goedgekeurd",
        "de licentie is beëindigd",
        "het tenant-id van de klant, niet van het bedrijf",
    ),
}


def test_thousands_of_companies_cost_no_query_each(anna_at_list: Newcomer) -> None:
    with organisation_scope(anna_at_list.actor.organisation_id):
        company = RemoteCompany.objects.first()
        assert company is not None
        common = {
            "organisation_id": company.organisation_id,
            "connection_id": company.connection_id,
            "grant_id": company.grant_id,
        }
        RemoteCompany.objects.bulk_create(
            RemoteCompany(
                **common,
                external_id=f"x{index}",
                name=f"Company {index:04d}",
                country="NL",
                number=str(int(KVK) + index),
                is_listed=True,
                last_listed_at=company.last_listed_at,
                described_at=timezone.now(),
            )
            for index in range(3000)
        )
        ids = list(RemoteCompany.objects.filter(external_id__startswith="x").values_list("pk", flat=True))
    query_counts = {}
    for name, action in (
        ("list", lambda: anna_at_list.client.get(f"{anna_at_list.flow}choose")),
        ("choose", lambda: anna_at_list.client.post(f"{anna_at_list.flow}choose", {"company": ids})),
        ("identify", lambda: anna_at_list.client.get(f"{anna_at_list.flow}identify")),
        ("next", lambda: anna_at_list.client.post(f"{anna_at_list.flow}identify", {})),
        ("assign", lambda: anna_at_list.client.get(f"{anna_at_list.flow}assign")),
        ("finish", lambda: anna_at_list.client.post(f"{anna_at_list.flow}assign", {"action": "finish"})),
    ):
        with CaptureQueriesContext(connection) as captured:
            answer = action()
        query_counts[name] = len(captured)
        assert answer.status_code in (200, 302), name
    assert len(imported(anna_at_list.actor)) == 3000
    assert max(query_counts.values()) < 90, query_counts
