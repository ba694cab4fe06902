"""Divisions and templates: created, renamed, filled, merged, archived, with previews of template changes."""

import re
from typing import Any

import pytest

from koppel.administrations.effective_settings import RESOURCES, Source, effective_settings
from koppel.administrations.models import Administration
from koppel.audit.models import AuditEntry
from koppel.kit.tenancy import organisation_scope
from koppel.organisations.errors import NotAllowed, Refused
from koppel.organisations.groups import divisions, settings_templates
from koppel.organisations.groups.inputs import DivisionInput, TemplateInput
from koppel.organisations.models import Division, Organisation, Template
from tests.administrations.factories import create_firm
from tests.administrations.test_bulk import colleague
from tests.administrations.test_list import browser_of, names
from tests.books.factories import administration_of
from tests.fixtures.confirmation import post_and_confirm


def test_a_division_is_created_filled_renamed_and_grants_access(actor: Any) -> None:
    admin = actor("administrator")
    user = colleague(actor, admin, "user")
    administration = administration_of(admin)
    browser = browser_of(admin)
    page = browser.post("/organisation/divisions/", {"name": "Zuid"}).headers["Location"]
    browser.post(page, {"name": "Zuidwest", "people": [user.membership_id], "has_people": "1"})
    with organisation_scope(admin.organisation_id):
        division = Division.objects.get()
        Administration.objects.filter(pk=administration.pk).update(division=division)
    assert division.name == "Zuidwest"
    assert names(user, "") == [administration.name]
    listing = browser.get("/organisation/divisions/").content.decode()
    assert f'href="/administrations/?division={division.pk}">1<' in listing
    browser.post(page, {"name": "Zuidwest", "has_people": "1"})
    assert names(user, "") == []
    second_response = browser.post("/organisation/divisions/", {"name": "zuidwest"}, follow=True)
    assert "already exists" in second_response.content.decode()
    assert browser_of(user).post(page, {"name": "x"}).status_code == 403


def test_merging_divisions_moves_people_and_administrations_and_leaves_it_archived(actor: Any) -> None:
    admin = actor("administrator")
    user = colleague(actor, admin, "user")
    firm = create_firm(admin, 20)
    north, east = firm.divisions[:2]
    with organisation_scope(admin.organisation_id):
        divisions.set_people(admin, north, [user.membership_id])
        total = Administration.objects.filter(division_id__in=[north, east]).count()
    page = browser_of(admin).get(f"/organisation/divisions/{north}/").content.decode()
    assert "administrations: 4, people: 1" in page
    post_and_confirm(browser_of(admin), f"/organisation/divisions/{north}/merge", {"into": east})
    with organisation_scope(admin.organisation_id):
        assert Administration.objects.filter(division_id=east).count() == total
        assert Division.objects.get(pk=north).archived_at
        assert AuditEntry.objects.get(action="division.merged").details["administrations"] == total - 4
        with pytest.raises(Refused):
            divisions.merge(admin, east, north)
        with pytest.raises(Refused):
            divisions.merge(admin, east, east)
        with pytest.raises(NotAllowed):
            divisions.merge(user, east, firm.divisions[2])
    assert len(names(user, "")) == total


def test_changing_a_template_previews_the_affected_administrations(actor: Any) -> None:
    admin = actor("administrator")
    firm = create_firm(admin, 30)
    standard = firm.templates[0]
    with organisation_scope(admin.organisation_id):
        having = Administration.objects.filter(template_id=standard).order_by("pk")
        overriding = having.first()
        assert overriding
        Administration.objects.filter(pk=overriding.pk).update(settings={"schedule": "off"})
        count = having.count()
    browser = browser_of(admin)
    address = f"/organisation/templates/{standard}/"
    form = {"name": "Standard", "schedule": "night", "fiscal_years_back": "1"}
    page = browser.post(address, form).content.decode()
    assert f"{count - 1} of {count} administrations change" in page
    assert re.search(r">Daily</td>\s*<td[^>]*>At night</td>", page)
    with organisation_scope(admin.organisation_id):
        assert Template.objects.get(pk=standard).settings == {}, "only told"
    stale = browser.post(address, {**form, "confirmed": "1"}).content.decode()
    assert f"{count - 1} of {count} administrations change" in stale, (
        "what was confirmed is not what would happen"
    )
    browser.post(address, {**form, "confirmed": str(count - 1)})
    with organisation_scope(admin.organisation_id):
        assert Template.objects.get(pk=standard).settings == {"schedule": "night", "fiscal_years_back": 1}
        assert AuditEntry.objects.get(action="template.settings_changed").details["before"] == {}
        administration = having.select_related("template", "organisation").last()
        assert administration
        assert (
            effective_settings(administration).schedule,
            effective_settings(administration).sources["schedule"],
        ) == ("night", Source.TEMPLATE)
    settings = browser.get(f"/administrations/{administration.pk}/settings/").content.decode()
    assert "from the template" in settings
    assert "“Standard”" in settings


def test_a_template_change_without_effect_is_stored_at_once(actor: Any) -> None:
    admin = actor("administrator")
    firm = create_firm(admin, 6)
    address = f"/organisation/templates/{firm.templates[1]}/"
    browser_of(admin).post(address, {"name": "Daily", "schedule": "daily"})
    with organisation_scope(admin.organisation_id):
        template = Template.objects.get(pk=firm.templates[1])
        assert (template.name, template.settings) == ("Daily", {"schedule": "daily"})


def test_a_setting_disabled_by_the_organisation_stays_disabled_below(actor: Any) -> None:
    admin = actor("administrator")
    firm = create_firm(admin, 6)
    with organisation_scope(admin.organisation_id):
        Organisation.objects.update(settings={"resources": ["accounts", "entries"], "schedule": "off"})
        Template.objects.filter(pk=firm.templates[0]).update(settings={"resources": ["accounts", "contacts"]})
        Administration.objects.update(settings={"schedule": "hourly_2"}, template_id=firm.templates[0])
        administration = Administration.objects.select_related("template", "organisation").first()
        assert administration
        now = effective_settings(administration)
        assert (now.resources, now.schedule, now.limited_keys) == (
            ("accounts",),
            "off",
            {"resources", "schedule"},
        )
        none = settings_templates.preview(admin, firm.templates[0], {"resources": ["accounts", "journals"]})
        assert none.changed == 0, "what is limited above changes nothing"
        some = settings_templates.preview(admin, firm.templates[0], {"resources": ["accounts", "entries"]})
        assert (some.changed, some.total) == (6, 6)
    page = browser_of(admin).get(f"/administrations/{administration.pk}/settings/").content.decode()
    assert page.count("Switched off by the organisation") == 2
    editor = browser_of(admin).get(f"/organisation/templates/{firm.templates[0]}/").content.decode()
    assert "Switched off by the organisation" in editor


def test_notification_settings_are_per_event_and_show_their_origin(actor: Any) -> None:
    admin = actor("administrator")
    firm = create_firm(admin, 6)
    template = f"/organisation/templates/{firm.templates[0]}/"
    browser = browser_of(admin)
    with organisation_scope(admin.organisation_id):
        Administration.objects.update(template_id=firm.templates[0])
    page = browser.post(template, {"name": "Standard", "notify-sync_failing": "division"}).content.decode()
    assert "6 of 6 administrations change" in page
    assert "Syncs fail: Owner, assigned users and division" in page
    browser.post(template, {"name": "Standard", "notify-sync_failing": "division", "confirmed": "6"})
    settings = f"/administrations/{firm.ids[0]}/settings/"
    form = {
        "fiscal_years_back": "1",
        "schedule": "daily",
        "full_comparison_weekday": "6",
        "resources": RESOURCES,
    }
    audiences = {"notify-sync_failing": "division", "notify-issue_raised": "assigned"}
    browser.post(settings, {**form, **audiences})
    with organisation_scope(admin.organisation_id):
        administration = Administration.objects.select_related("template", "organisation").get(pk=firm.ids[0])
        assert administration.settings == {"notify": {"issue_raised": "assigned"}}, (
            "what the template says already stays there"
        )
        assert effective_settings(administration).audience_sources == {
            "sync_failing": Source.TEMPLATE,
            "issue_raised": Source.ADMINISTRATION,
            "import_finished": Source.DEFAULT,
            "import_failed": Source.DEFAULT,
        }
    browser.post(settings, {"reset": "notify-issue_raised"})
    browser.post("/organisation/settings/", {"name": "Firma", "notify-sync_failing": "nobody"})
    with organisation_scope(admin.organisation_id):
        administration = Administration.objects.select_related("template", "organisation").get(pk=firm.ids[0])
        assert (administration.settings, effective_settings(administration).notify["sync_failing"]) == (
            {},
            "nobody",
        )
    assert "Switched off by the organisation" in browser.get(settings).content.decode()
    headers = {"content_type": "application/json"}
    for wrong in ({"nothing": "nobody"}, {"sync_failing": "everybody"}, ["sync_failing"]):
        answer = browser.patch(f"/api/v1{settings.rstrip('/')}", {"values": {"notify": wrong}}, **headers)
        assert answer.status_code == 409, wrong


def test_merging_templates_assigns_the_target_template(actor: Any) -> None:
    admin = actor("administrator")
    firm = create_firm(admin, 9)
    post_and_confirm(
        browser_of(admin), f"/organisation/templates/{firm.templates[0]}/merge", {"into": firm.templates[1]}
    )
    with organisation_scope(admin.organisation_id):
        assert Administration.objects.filter(template_id=firm.templates[1]).count() == 6
        assert Template.objects.get(pk=firm.templates[0]).archived_at


@pytest.mark.parametrize(
    ("kind", "module", "name", "create"),
    [
        (
            Division,
            divisions,
            "_save",
            lambda admin: divisions.create_division(admin, DivisionInput(name="Mine")),
        ),
        (
            Template,
            settings_templates,
            "_save",
            lambda admin: settings_templates.create_template(admin, TemplateInput(name="Mine")),
        ),
    ],
)
def test_concurrent_creation_returns_the_callers_own_object(
    actor: Any, monkeypatch: Any, kind: Any, module: Any, name: str, create: Any
) -> None:
    admin, original = actor("administrator"), getattr(module, name)

    def and_a_colleague(*args: Any) -> Any:
        created = original(*args)
        kind.objects.create(organisation_id=admin.organisation_id, name="A colleague's")
        return created

    monkeypatch.setattr(module, name, and_a_colleague)
    with organisation_scope(admin.organisation_id):
        assert create(admin).name == "Mine"
