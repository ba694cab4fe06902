"""Pages refuse unknown filters with a banner and no rows; all of Koppel's own links are accepted."""

import re
from collections.abc import Iterator
from html import unescape
from typing import Any
from urllib.parse import urljoin, urlsplit

import pytest
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver

from koppel.kit.tenancy import organisation_scope
from koppel.notifications.models import Notification
from koppel.organisations.groups.divisions import change_division
from koppel.organisations.groups.inputs import DivisionInput, TemplateInput
from koppel.organisations.groups.settings_templates import change_template
from tests.books.factories import Ledger
from tests.web.factories import IMPORT, World, build_world

NOT_PAGES = ("/api/v1/", "/accounts/", "/static/")


@pytest.fixture
def world(actor: Any) -> World:
    built_world = build_world(actor)
    ledger = Ledger(built_world.active)
    ledger.account("1000", "Bank")
    ledger.balance("1000", "202601", "0.10", "25.00")
    return built_world


def pages_with_filters(world: World) -> list[str]:
    administration_path = f"/administrations/{world.active.pk}"
    return [
        "/administrations/",
        "/administrations/rows/",
        "/administrations/export.csv",
        "/administrations/restricted/",
        "/administrations/bulk/",
        "/issues/",
        "/changes/",
        "/search/",
        "/organisation/activity/",
        "/notifications/",
        "/organisation/people/",
        "/organisation/divisions/",
        "/organisation/templates/",
        "/organisation/webhooks/",
        f"/organisation/webhooks/{world.webhook_id}/",
        f"/organisation/webhooks/{world.webhook_id}/log",
        "/connections/",
        "/account/api/",
        f"/imports/{IMPORT}/",
        f"{administration_path}/sync/",
        f"{administration_path}/sync/changes/",
        f"{administration_path}/sync/runs/{world.run_id}/",
        f"{administration_path}/books/",
        f"{administration_path}/books/trial-balance/",
        f"{administration_path}/books/accounts/",
        f"{administration_path}/books/account/1000/",
        f"{administration_path}/books/export/",
    ]


def test_every_page_with_filters_refuses_an_unknown_one(world: World) -> None:
    client = world.client("administrator")
    wrong = []
    for path in pages_with_filters(world):
        assert read(client.get(path))[0] == 200, path
        status, page = read(client.get(f"{path}?stauts=failed"))
        if status != 422 or "“stauts” is not a filter" not in page or "<tbody" in page:
            wrong.append(f"{path}: {status}")
    assert wrong == []


def test_every_view_that_reads_the_address_bar_says_which_parameters_there_are() -> None:
    """One that is added later too. The vendor's and the identity provider's answers are their own."""
    views = [
        view
        for view in all_views()
        if view.__module__.startswith("koppel.") and names_in(view) & {"GET", "parameters"}
    ]
    assert len(views) > 10
    silent = {
        f"{view.__module__}.{view.__name__}" for view in views if not hasattr(view, "koppel_parameters")
    } - STRICT_BY_THEMSELVES
    assert silent == set()


STRICT_BY_THEMSELVES = {
    "koppel.administrations.views.listing.show_list",
    "koppel.administrations.views.listing.show_rows",
    "koppel.administrations.views.listing.export_administrations",
    "koppel.connections.views.consent.receive_redirect",
    "koppel.organisations.views.single_sign_on.complete_sign_in",
}


def all_views(patterns: Any = None) -> Iterator[Any]:
    for pattern in get_resolver().url_patterns if patterns is None else patterns:
        if isinstance(pattern, URLResolver):
            yield from all_views(pattern.url_patterns)
        elif isinstance(pattern, URLPattern):
            yield pattern.callback


def names_in(view: Any) -> set[str]:
    inner = view
    while hasattr(inner, "__wrapped__"):
        inner = inner.__wrapped__
    return set(getattr(getattr(inner, "__code__", None), "co_names", ()))


def test_the_banner_takes_away_one_filter_and_leaves_the_others(world: World) -> None:
    page = (
        world.client("administrator")
        .get("/organisation/activity/?action=explode&interface=job")
        .content.decode()
    )
    assert "“explode” is not a value of “action”" in page
    assert 'href="?interface=job"' in page
    dutch = world.client("administrator", "nl").get("/organisation/activity/?stauts=1").content.decode()
    assert ("Onbekend filter" in dutch, "Dit filter verwijderen" in dutch) == (True, True)


def test_every_link_of_the_pages_is_accepted_where_it_leads(world: World) -> None:
    client = world.client("administrator")
    links = {link for path in starting_points(world) for link in links_on(client, path)}
    assert len(links) > 40
    refused = [link for link in sorted(links) if read(client.get(link))[0] == 422]
    assert refused == []


def test_the_links_of_an_archived_division_and_template_lead_nowhere_that_is_refused(world: World) -> None:
    with organisation_scope(world.admin.organisation_id):
        change_division(world.admin, world.division.pk, DivisionInput(name="Zuid", archived=True))
        change_template(world.admin, world.template.pk, TemplateInput(name="Standard", archived=True))
    client = world.client("administrator")
    places = [
        "/organisation/divisions/",
        f"/organisation/divisions/{world.division.pk}/",
        "/organisation/templates/",
    ]
    links = {
        link
        for path in (*places, f"/organisation/templates/{world.template.pk}/")
        for link in links_on(client, path)
    }
    assert [link for link in sorted(links) if read(client.get(link))[0] == 422] == []


def test_every_link_of_a_notice_is_accepted_where_it_leads(world: World) -> None:
    client = world.client("administrator")
    with organisation_scope(world.admin.organisation_id):
        links = {one.link for one in Notification.objects.exclude(link="")}
    links |= {
        f"/administrations/?connection={world.active.connection_id}",
        f"/administrations/?import={IMPORT}",
    }
    assert [link for link in sorted(links) if read(client.get(link))[0] == 422] == []


def starting_points(world: World) -> list[str]:
    administration_path = f"/administrations/{world.active.pk}"
    more = [
        "/",
        f"{administration_path}/",
        f"{administration_path}/settings/",
        f"{administration_path}/history/",
        f"{administration_path}/edit/",
        "/organisation/settings/",
        f"/organisation/people/{world.bystander.membership_id}/",
        f"/connections/{world.active.connection_id}/",
        f"/organisation/divisions/{world.division.pk}/",
        f"/organisation/templates/{world.template.pk}/",
        "/administrations/bulk/csv/",
        "/administrations/?status=active",
        "/administrations/?sort=-name",
    ]
    return [*more, *pages_with_filters(world)]


def links_on(client: Client, path: str) -> set[str]:
    """Those within Koppel that carry a query, in `href`, `hx-get` and addresses that scripts ask."""
    _status, page = read(client.get(path, follow=True))
    addresses = re.findall(r'(?:href|hx-get|data-[a-z-]+)="([^"]*\?[^"]*)"', page)
    links = {urljoin(path, unescape(link)).partition("#")[0] for link in addresses}
    return {link for link in links if not urlsplit(link).netloc and not link.startswith(NOT_PAGES)}


def read(answer: Any) -> tuple[int, str]:
    """Read to the end, also what is streamed, so that no file stays open behind it."""
    content = b"".join(answer).decode(errors="replace")
    answer.close()
    return answer.status_code, content
