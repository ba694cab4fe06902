"""Every number on the dashboard links to the list behind it."""

import re
from datetime import timedelta
from html import unescape
from typing import Any

from django.utils import timezone

from koppel.administrations.models import Administration, Assignment
from koppel.audit.subjects import Subject, SubjectKind
from koppel.issues.models import Issue
from koppel.issues.services import raise_issue
from koppel.kit.tenancy import organisation_scope
from koppel.sync.models import Change, Run
from tests.administrations.factories import create_firm, name_of
from tests.administrations.test_bulk import colleague
from tests.administrations.test_list import browser_of
from tests.books.factories import administration_of

LINKED = re.compile(
    r'<a href="(/administrations/\?[^"]+)"(?: class="kpi[^>]*>\s*<span class="kpi-label">[^<]*</span>'
    r'\s*<span class="kpi-value")?>([\d,]+)(?:<|$)'
)


def test_every_number_is_the_length_of_the_list_behind_it(actor: Any) -> None:
    admin = actor("administrator")
    user = colleague(actor, admin, "user", "Anna Smit")
    firm = create_firm(admin, 120, [user.membership_id, admin.membership_id, user.membership_id])
    with organisation_scope(admin.organisation_id):
        tenant = {"organisation_id": admin.organisation_id}
        for number, administration_id in enumerate(firm.ids[:5]):
            run = Run.objects.create(
                **tenant, administration_id=administration_id, trigger="import" if number else "schedule"
            )
            changes = [
                Change(
                    **tenant,
                    administration_id=administration_id,
                    run_id=run.pk,
                    resource="accounts",
                    external_id=str(index),
                    kind=("added", "changed", "deleted")[index % 3],
                    at=timezone.now(),
                )
                for index in range(number + 1)
            ]
            Change.objects.bulk_create(changes)
        old = timezone.now() - timedelta(days=2)
        Change.objects.create(
            **tenant,
            administration_id=firm.ids[9],
            run_id=1,
            resource="accounts",
            external_id="1",
            kind="added",
            at=old,
        )
        Assignment.objects.filter(administration_id=firm.ids[0], automatic=False).delete()
    for person in (admin, user):
        browser = browser_of(person)
        page = browser.get("/").content.decode()
        linked = [
            (unescape(address), int(figure.replace(",", ""))) for address, figure in LINKED.findall(page)
        ]
        assert len(linked) >= 8
        for address, figure in linked:
            listing = browser.get(address).content.decode()
            counted = re.search(r'id="list-total">([\d,]+)</span>', listing)
            assert counted, address
            assert int(counted[1].replace(",", "")) == figure, f"{address} for {person.role}"
    page = browser_of(admin).get("/").content.decode()
    assert "Anna Smit" in page
    assert "No one selected" in page
    biggest = page.index(name(admin, firm.ids[4]), page.index("Recent changes"))
    assert biggest < page.index(name(admin, firm.ids[3]), biggest)
    assert "+2" in page


def test_a_reader_sees_neither_others_administrations_nor_connections(actor: Any) -> None:
    admin = actor("administrator")
    reader = colleague(actor, admin, "reader")
    create_firm(admin, 12)
    page = browser_of(reader).get("/").content.decode()
    assert "You have no administrations yet" in page
    assert "B.V." not in page
    assert "Connection health" not in page
    assert "Connection health" in browser_of(admin).get("/").content.decode()


def name(admin: Any, administration_id: int) -> str:
    with organisation_scope(admin.organisation_id):
        return Administration.objects.get(pk=administration_id).name


def test_every_issue_is_reachable_and_a_name_links_to_its_own(actor: Any) -> None:
    """However many there are: the dashboard's number is the page's, and the last page holds the oldest."""
    admin = actor("administrator")
    user = colleague(actor, admin, "user", "Anna Smit")
    firm = create_firm(admin, 240, [user.membership_id, admin.membership_id])
    with organisation_scope(admin.organisation_id):
        Issue.objects.all().delete()
        for administration_id in firm.ids:
            raise_issue(
                admin.organisation_id,
                "sync_failed",
                Subject(SubjectKind.ADMINISTRATION, administration_id),
                {"reason": "closed"},
            )
        raise_issue(
            admin.organisation_id,
            "consent_lost",
            Subject(SubjectKind.CONNECTION, firm.connections[0]),
            {"account": "s.jansen"},
        )
    browser = browser_of(admin)
    assert "Show all 241 issues" in browser.get("/").content.decode()
    seen: list[str] = []
    for number in (1, 2, 3):
        page = browser.get(f"/issues/?page={number}").content.decode()
        assert '<span class="hint">241</span>' in page
        seen += re.findall(r'<tr data-issue="(\w+)">', page)
    assert (len(seen), seen.count("consent_lost")) == (241, 1)
    assert "Page 3 of 3" in page
    assert read_row_names(browser.get("/issues/?q=oberg+123").content.decode()) == [name_of(123)]
    assert "No issues match these filters" in browser.get("/issues/?q=no+such+name").content.decode()
    organisation = browser_of(user).get("/issues/").content.decode()
    assert '<span class="hint">120</span>' in organisation, "Anna sees those of her own, and no connection's"
    assert browser.get("/issues/?page=99999999").status_code == 200
    for query in ("page=0", "page=²", "q=%00"):
        assert browser.get(f"/issues/?{query}").status_code == 422, query


def read_row_names(page: str) -> list[str]:
    tick = r'(?:\s*<td class="tight"><input[^>]+></td>)?'
    return re.findall(rf'<tr data-issue="\w+">{tick}\s*<th scope="row">\s*<a [^>]+>([^<>]+)</a>', page)


def test_issues_are_grouped_and_filtered_by_kind_client_and_person(actor: Any) -> None:
    """What stops syncs comes first; by client, the issues of one stand together."""
    admin = actor("administrator")
    user = colleague(actor, admin, "user", "Anna Smit")
    firm = create_firm(admin, 4, [user.membership_id, admin.membership_id])
    with organisation_scope(admin.organisation_id):
        Issue.objects.all().delete()
        for administration_id in firm.ids:
            subject = Subject(SubjectKind.ADMINISTRATION, administration_id)
            facts = {"name": "X", "old": "X", "new": "Y", "closed_on": "2026-01-01", "reason": "closed"}
            for code in ("company_closed", "sync_failed"):
                raise_issue(admin.organisation_id, code, subject, facts)
    browser = browser_of(admin)
    codes = re.findall(r'<tr data-issue="(\w+)">', browser.get("/issues/").content.decode())
    assert codes == ["sync_failed"] * 4 + ["company_closed"] * 4
    by_client = browser.get("/issues/?group=client").content.decode()
    names = read_row_names(by_client)
    assert names == [shown for shown in names[::2] for _issue in range(2)]
    assert len(set(names)) == 4
    only_closed = browser.get("/issues/?kind=company_closed").content.decode()
    assert set(re.findall(r'<tr data-issue="(\w+)">', only_closed)) == {"company_closed"}
    hers = read_row_names(browser.get(f"/issues/?user={user.membership_id}").content.decode())
    assert 0 < len(hers) < 8
    assert hers == read_row_names(browser_of(user).get("/issues/?user=me").content.decode())
    refused = [browser.get(f"/issues/?{query}").status_code for query in ("kind=x", "user=x", "group=x")]
    assert refused == [422, 422, 422]


def test_the_dashboard_groups_issues_with_one_button_for_a_kind(actor: Any) -> None:
    admin = actor("administrator")
    firm = create_firm(admin, 3)
    with organisation_scope(admin.organisation_id):
        Issue.objects.all().delete()
        for administration_id in firm.ids:
            facts = {"count": 2, "period": "202503", "run": 7, "system": "Boekpakket"}
            subject = Subject(SubjectKind.ADMINISTRATION, administration_id)
            raise_issue(admin.organisation_id, "closed_period_changed", subject, facts)
    page = browser_of(admin).get("/").content.decode()
    assert page.count('<li class="issue-group') == 1
    assert '<a class="button button-small" href="/issues/?kind=closed_period_changed">' in page
    assert page.count(f"/administrations/{firm.ids[0]}/sync/runs/7/") == 1, "among the closed periods"


def test_the_search_field_hides_the_end_of_a_persons_number(actor: Any) -> None:
    admin = actor("administrator")
    administration_of(admin, "Enskild Firma", country="SE", number="811218-9876")
    page = browser_of(admin).get("/search/?q=enskild").content.decode()
    assert "811218-****" in page
    assert "9876" not in page
