"""Forms of the organisation: what is refused stands at its field, with what was typed, and nothing is stored."""

from collections.abc import Mapping
from typing import Any

import pytest
from django.test import Client

from koppel.kit.tenancy import organisation_scope
from koppel.organisations.models import Organisation, Template
from koppel.organisations.roles import Actor
from tests.fixtures.people import signed_in


@pytest.fixture
def boss(actor: Any) -> Actor:
    return actor("administrator", name="Anna")  # type: ignore[no-any-return]


def refused(browser: Client, path: str, form: Mapping[str, Any], *fields: str) -> str:
    """Return the page that shows the form again, with an error at each of these fields and at no other."""
    page = browser.post(path, form)
    text = page.content.decode()
    assert page.status_code == 200, page.status_code
    for field in fields:
        assert f'id="{field}-error"' in text, field
    assert text.count('class="field-error"') == len(fields)
    return text


SETTINGS = [
    ("fiscal_years_back", "many"), ("fiscal_years_back", "77"), ("fiscal_years_back", "-1"), ("schedule", "hourly"),
    ("full_comparison_weekday", "7"), ("resources", "secrets"), ("notify-sync_failing", "everybody"),
]  # fmt: skip


@pytest.mark.parametrize(("field", "text"), SETTINGS)
def test_a_setting_that_cannot_be_read_is_an_error_at_its_field(boss: Actor, field: str, text: str) -> None:
    browser = signed_in(boss)
    form = {"name": "Nieuwe naam", "resources_set": "1", field: text}
    for path in ("/organisation/settings/", "/organisation/templates/"):
        page = refused(browser, path, form, field)
        assert 'value="Nieuwe naam"' in page, "what was typed stays"
    with organisation_scope(boss.organisation_id):
        firm = Organisation.objects.get(pk=boss.organisation_id)
        assert (firm.name == "Nieuwe naam", firm.settings) == (False, {})
        assert not Template.objects.exists()


def test_a_template_is_not_changed_by_a_form_that_is_refused(boss: Actor) -> None:
    browser = signed_in(boss)
    path = browser.post("/organisation/templates/", {"name": "Nachtelijk", "schedule": "night"}).headers["Location"]
    page = refused(browser, path, {"name": " ", "schedule": "daily", "fiscal_years_back": "x"}, "fiscal_years_back")
    assert 'value="x"' in page
    assert '<option value="daily" selected>' in page
    page = refused(browser, path, {"name": "", "schedule": "daily"}, "name")
    assert "A name is needed." in page
    with organisation_scope(boss.organisation_id):
        template = Template.objects.get()
        assert (template.name, template.settings) == ("Nachtelijk", {"schedule": "night"})
