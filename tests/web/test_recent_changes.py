"""The page of recent changes: what syncs changed since Friday or the last visit, by administration."""

import re
from datetime import timedelta
from html import unescape

import pytest
from django.utils import timezone

from koppel.audit.subjects import Subject, SubjectKind
from koppel.connections.issue_types import ConnectionIssue
from koppel.issues.services import raise_issue
from koppel.kit.tenancy import organisation_scope
from koppel.organisations.models import Membership
from koppel.organisations.roles import Actor
from koppel.sync.models import Change
from koppel.web.recent_changes import days_since_friday
from tests.administrations.factories import create_firm
from tests.administrations.test_dashboard import name
from tests.administrations.test_list import browser_of
from tests.fixtures.people import MakeActor

DAYS_AGO = (0, 5, 20)


def add_changes(admin: Actor, ids: list[int]) -> None:
    """One deleted record of each administration, at `DAYS_AGO`."""
    with organisation_scope(admin.organisation_id):
        for administration_id, days in zip(ids, DAYS_AGO, strict=False):
            Change.objects.create(
                organisation_id=admin.organisation_id,
                administration_id=administration_id,
                run_id=1,
                resource="accounts",
                external_id="4711",
                kind="deleted",
                at=timezone.now() - timedelta(days=days),
            )


def test_the_page_lists_what_changed_in_its_period_with_old_and_new(actor: MakeActor) -> None:
    admin = actor("administrator")
    ids = create_firm(admin, 4).ids
    add_changes(admin, ids)
    with organisation_scope(admin.organisation_id):
        facts = {"name": "Bakker", "old": "Bakker B.V.", "new": "Bakker Holding B.V.", "field": "name"}
        subject = Subject(SubjectKind.ADMINISTRATION, ids[3])
        raise_issue(admin.organisation_id, ConnectionIssue.COMPANY_RENAMED, subject, facts)
        names = [name(admin, administration_id) for administration_id in ids]
    browser = browser_of(admin)
    week = unescape(browser.get("/changes/?period=7days").content.decode())
    assert re.search(r'href="/changes/"\s+aria-current="page"', week)
    assert "<title>Recent changes" in week
    assert [name in week for name in names] == [True, True, False, True]
    assert "Bakker B.V. was renamed to Bakker Holding B.V." in week
    assert "−2" in week
    month = unescape(browser.get("/changes/?period=30days").content.decode())
    assert all(name in month for name in names)
    assert re.search(rf'href="/administrations/{ids[1]}/sync/changes/\?since=[^"]+"', month)


def test_since_the_last_visit_begins_when_the_last_visit_began(actor: MakeActor) -> None:
    admin = actor("administrator")
    ids = create_firm(admin, 2).ids
    browser = browser_of(admin)
    assert "Since your last visit" not in browser.get("/changes/").content.decode()
    add_changes(admin, ids)
    with organisation_scope(admin.organisation_id):
        member = Membership.objects.get(pk=admin.membership_id)
        names = [name(admin, administration_id) for administration_id in ids]
    _set_last_visit(member, days=2)
    for _reload in range(2):
        page = unescape(browser.get("/changes/").content.decode())
        assert re.search(r'aria-current="true">Since your last visit<', page)
        assert [name in page for name in names] == [True, False]


def _set_last_visit(member: Membership, *, days: int) -> None:
    with organisation_scope(member.organisation_id):
        seen_at = timezone.now() - timedelta(days=days)
        Membership.objects.filter(pk=member.pk).update(
            preferences=type(member.preferences)(changes_seen_at=seen_at)
        )


@pytest.mark.parametrize(("weekday", "days"), [(0, 3), (4, 7), (5, 1)])
def test_since_friday_is_the_friday_before_today(weekday: int, days: int) -> None:
    assert days_since_friday(weekday) == days
