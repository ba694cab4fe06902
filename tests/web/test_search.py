"""What the command palette finds, by the words that people use for it, and for whom."""

import re
from typing import Any

import pytest

from tests.web.factories import World, build_world


@pytest.fixture
def world(actor: Any) -> World:
    return build_world(actor)


def results(world: World, text: str, role: str = "administrator", **parameters: Any) -> str:
    response = world.client(role).get("/search/", {"q": text, **parameters})
    assert response.status_code == 200
    return response.content.decode()


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("mfa", "Two-step verification"),
        ("api token", "Create an API token"),
        ("new connection", "New connection"),
        ("nieuwe koppeling", "New connection"),
        ("a@example", "a@example.test"),
        ("69 599 084", "Bakkerij De Haan B.V."),
        ("sync bakkerij", "Sync now"),
    ],
)
def test_it_is_found_by_the_words_in_use(world: World, text: str, label: str) -> None:
    assert label in results(world, text)


def test_the_open_administration_adds_its_pages_and_actions(world: World) -> None:
    assert "Trial balance" in results(world, "trial balance", administration=world.active.pk)
    assert "/books/trial-balance" not in results(world, "trial balance")


def test_a_role_finds_only_what_it_may_open(world: World) -> None:
    for text in ("new connection", "invite", "webhooks", "sync bakkerij"):
        addresses = re.findall(r'(?:href|data-post)="([^"]+)"', results(world, text, role="reader"))
        assert [address for address in addresses if not address.startswith("/help/")] == [], text


def test_help_is_found_by_titles_of_pages_and_sections(world: World) -> None:
    html = results(world, "invite people", role="reader")
    assert 'href="/help/people/#invite-people"' in html
    assert "People and roles" in html, "a section says of which page"
    assert 'href="/help/accessibility/"' in results(world, "accessibility", role="reader")
