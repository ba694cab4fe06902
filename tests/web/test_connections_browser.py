"""The pages of connections in a real browser, with failing and disputed connections."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from playwright.sync_api import Browser

from koppel.audit.subjects import Subject, SubjectKind
from koppel.connections.models import Connection, Grant, RemoteCompany, TimelineEvent
from koppel.issues.services import raise_issue
from koppel.kit.encryption import Secret
from koppel.kit.encryption.fields import encrypt_column
from koppel.kit.tenancy import organisation_scope
from tests.web.browsing import address, browser, check_pages, collect_complaints, open_browser_page, sign_in
from tests.web.factories import World
from tests.web.page_table import pages_of_connections
from tests.web.test_browser import world

__all__ = ["address", "browser", "world"]
pytestmark = pytest.mark.browser


def create_troubled_connections(world: World) -> dict[str, str]:
    """What the firm of the other browser tests looks like on a bad day. The pages to see."""
    now = timezone.now()
    with organisation_scope(world.admin.organisation_id):
        well, broken = Connection.objects.order_by("pk")
        Connection.objects.update(
            created_at=now - timedelta(days=24), last_contact_at=now - timedelta(minutes=3)
        )
        for connection, kind, hours_ago, hours in (
            (well, "degraded", 300, 4),
            (well, "degraded", 70, 0.5),
            (broken, "paused", 260, 40),
            (broken, "lost", 5, None),
        ):
            begin = now - timedelta(hours=hours_ago)
            until = None if hours is None else begin + timedelta(hours=hours)
            event(
                connection,
                kind,
                begin,
                until,
                {"reason": "Visma Connect does not answer.", "account": connection.account},
            )
        event(well, "connected", now - timedelta(days=24), None, {"account": well.account}, "Anna de Vries")
        reason = "The consent at Visma has expired or was withdrawn."
        Connection.objects.filter(pk=broken.pk).update(
            state="needs_reauth",
            reason=reason,
            account="p.jansen@kantoor.example",
            pending_owner=world.admin.membership_id,
        )
        Grant.objects.filter(connection=broken).update(
            invalid_since=now - timedelta(hours=5), invalid_code="lost", invalid_reason=reason
        )
        raise_issue(
            world.admin.organisation_id,
            "consent_lost",
            Subject(SubjectKind.CONNECTION, broken.pk),
            {"account": "p.jansen@kantoor.example", "reason": reason},
        )
        Connection.objects.filter(pk=well.pk).update(
            state="degraded",
            degraded_since=now - timedelta(minutes=9),
            reason="Visma Connect does not answer.",
        )
        for grant in Grant.objects.filter(connection=well):
            grant.refresh_token = encrypt_column(grant, "refresh_token", Secret("x"))
            grant.generation, grant.refresh_expires_at = 44, now + timedelta(days=107)
            grant.save()
        RemoteCompany.objects.filter(connection=well).update(
            is_listed=True,
            last_listed_at=now,
            unreachable_code="role",
            unreachable_reason="Visma.net shows nothing of this company.",
        )
        facts = {
            "field": "name",
            "old": "Bakkerij De Haan B.V.",
            "new": "De Haan Brood en Banket Nederland B.V.",
        }
        raise_issue(
            world.admin.organisation_id,
            "company_renamed",
            Subject(SubjectKind.ADMINISTRATION, world.active.pk),
            facts,
        )
    return {**pages_of_connections(world), "connection-broken": f"/connections/{broken.pk}/"}


def event(
    connection: Connection, kind: str, at: Any, ended_at: Any, context: dict[str, str], by: str = ""
) -> None:
    TimelineEvent.objects.create(
        organisation_id=connection.organisation_id,
        connection=connection,
        kind=kind,
        at=at,
        ended_at=ended_at,
        context=context,
        actor_name=by,
    )


@pytest.mark.parametrize(("language", "scheme"), [("en", "light"), ("nl", "dark")])
def test_pages_of_failing_connections_are_accessible(
    browser: Browser, world: World, address: str, language: str, scheme: Any
) -> None:
    page = open_browser_page(browser, color_scheme=scheme, locale=language)
    complaints = collect_complaints(page)
    sign_in(page, address, world.admin)
    check_pages(page, address, create_troubled_connections(world), language)
    page.context.close()
    assert complaints == []
