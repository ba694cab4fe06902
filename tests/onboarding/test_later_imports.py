"""Imports after the first: what is offered to whom, and how administrations are assigned."""

from typing import Any

from django.utils import timezone

from koppel.administrations.models import Administration, Assignment
from koppel.kit.tenancy import organisation_scope
from koppel.onboarding.models import Flow, Import
from koppel.organisations.models import Division, Organisation, Template
from koppel.sync.models import Run
from tests.fixtures.first_steps import Newcomer, path_of
from tests.onboarding.wizard_steps import (
    advance_to_assign,
    anna,
    anna_at_list,
    colleague_of,
    companies,
    imported,
    read_page_text,
)

__all__ = ["anna", "anna_at_list"]


def test_a_later_import_offers_only_what_is_new_and_asks_no_sign_in(anna_at_list: Newcomer) -> None:
    ids = advance_to_assign(anna_at_list, 3)
    anna_at_list.client.post(f"{anna_at_list.flow}assign", {"action": "skip"})
    anna_at_list.sandbox.forget_calls()
    with organisation_scope(anna_at_list.actor.organisation_id):
        flow_count = Flow.objects.count()
    assert "Import administrations" in read_page_text(anna_at_list.client.get("/connections/new/import"))
    with organisation_scope(anna_at_list.actor.organisation_id):
        assert Flow.objects.count() == flow_count, "a link starts nothing"
    assert not anna_at_list.sandbox.calls()
    page = anna_at_list.client.post("/connections/new/import", follow=True)
    assert read_page_text(page).count('name="company"') == 5
    assert "8 administrations found with this sign-in, 3 already imported" in read_page_text(page)
    assert not {f'value="{key}"' for key in ids} & set(read_page_text(page).split())
    assert not anna_at_list.sandbox.calls("/connect/authorize")
    assert "Sign in with another account" in read_page_text(page)


def test_others_see_what_was_released_for_import(anna_at_list: Newcomer, actor: Any) -> None:
    hidden = companies(anna_at_list)[0]
    page = anna_at_list.client.post(
        f"{anna_at_list.flow}choose", {"action": "hide", "company": [hidden.pk]}, follow=True
    )
    assert "1 company hidden from colleagues" in read_page_text(page)
    assert hidden.name in read_page_text(page)
    uma = colleague_of(anna_at_list, actor, "user_plus")
    seen = read_page_text(uma.client.post("/connections/new/import", follow=True))
    assert hidden.name not in seen
    assert seen.count('name="company"') == 7
    assert "Ask an Administrator or a Team leader to sign in with another account" in seen


def test_only_permitted_members_release_companies(anna_at_list: Newcomer, actor: Any) -> None:
    uma = colleague_of(anna_at_list, actor, "user_plus")
    flow = path_of(uma.client.post("/connections/new/import", follow=True))
    assert (
        uma.client.post(flow, {"action": "hide", "company": [companies(anna_at_list)[0].pk]}).status_code
        == 403
    )
    assert all(one.importable_by_others for one in companies(anna_at_list))


def test_users_are_added_division_and_template_replace_and_skip_assigns_nothing(
    anna_at_list: Newcomer, actor: Any
) -> None:
    uma, piet = colleague_of(anna_at_list, actor, "user"), colleague_of(anna_at_list, actor, "user")
    with organisation_scope(anna_at_list.actor.organisation_id):
        firm = Organisation.objects.get()
        north, south = (Division.objects.create(organisation=firm, name=name) for name in ("Noord", "Zuid"))
        template = Template.objects.create(organisation=firm, name="Standard", settings={})
    first, second = advance_to_assign(anna_at_list)
    for fields in (
        {"company": [first, second], "division": north.pk, "users": [uma.actor.membership_id]},
        {
            "company": [first],
            "division": south.pk,
            "users": [piet.actor.membership_id],
            "template": template.pk,
        },
    ):
        page = anna_at_list.client.post(
            f"{anna_at_list.flow}assign", {"action": "apply", **fields}, follow=True
        )
    assert "Assigned to 1 administration." in read_page_text(page)
    end = anna_at_list.client.post(f"{anna_at_list.flow}assign", {"action": "skip"}).headers["Location"]
    assert "&done=" in end
    imported_administrations = {one.remote_company_id: one for one in imported(anna_at_list.actor)}
    assert (imported_administrations[first].division_id, imported_administrations[second].division_id) == (
        south.pk,
        north.pk,
    )
    assert (imported_administrations[first].template_id, imported_administrations[second].template_id) == (
        template.pk,
        None,
    )
    with organisation_scope(anna_at_list.actor.organisation_id):
        people = set(
            Assignment.objects.filter(administration=imported_administrations[first]).values_list(
                "membership_id", flat=True
            )
        )
    assert people == {one.actor.membership_id for one in (anna_at_list, uma, piet)}
    undo_assignment(anna_at_list, imported_administrations[first].pk)


def undo_assignment(anna_at_list: Newcomer, administration_id: int) -> None:
    """For 24 hours, as after bulk work in the list. What every import gets stays."""
    (done,) = anna_at_list.client.get("/api/v1/administrations/bulk").json()
    assert (done["action"], done["counts"]["changed"], done["can_undo"]) == ("change", 2, True)
    page = read_page_text(anna_at_list.client.post(f"/administrations/bulk/{done['id']}/undo", follow=True))
    assert "2 administrations restored" in page
    with organisation_scope(anna_at_list.actor.organisation_id):
        administration = Administration.objects.get(pk=administration_id)
        assert (administration.division_id, administration.template_id) == (None, None)
        people = Assignment.objects.filter(administration=administration).values_list(
            "membership_id", flat=True
        )
        assert list(people) == [anna_at_list.actor.membership_id]


def test_a_division_that_is_gone_stops_everything(anna_at_list: Newcomer) -> None:
    with organisation_scope(anna_at_list.actor.organisation_id):
        division = Division.objects.create(organisation=Organisation.objects.get(), name="Noord")
    ids = advance_to_assign(anna_at_list)
    anna_at_list.client.post(
        f"{anna_at_list.flow}assign", {"action": "apply", "company": ids, "division": division.pk}
    )
    with organisation_scope(anna_at_list.actor.organisation_id):
        division.archived_at = timezone.now()
        division.save()
    page = anna_at_list.client.post(
        f"{anna_at_list.flow}assign", {"action": "finish", "company": ids}, follow=True
    )
    assert "Nothing was imported" in read_page_text(page)
    assert imported(anna_at_list.actor) == []
    with organisation_scope(anna_at_list.actor.organisation_id):
        assert (Import.objects.count(), Run.objects.count()) == (0, 0)


def test_the_imports_own_page_has_failed_ones_on_top_and_retries_them(
    anna_at_list: Newcomer, actor: Any
) -> None:
    advance_to_assign(anna_at_list, 3)
    anna_at_list.client.post(f"{anna_at_list.flow}assign", {"action": "skip"}, follow=True)
    key = imported(anna_at_list.actor)[0].import_id
    with organisation_scope(anna_at_list.actor.organisation_id):
        last = Administration.objects.order_by("-name").first()
        assert last is not None
        Run.objects.filter(administration=last).delete()
        Administration.objects.filter(pk=last.pk).update(
            status="failed", status_reason="The books are closed."
        )
    page = read_page_text(anna_at_list.client.get(f"/imports/{key}/"))
    names = [one.name for one in imported(anna_at_list.actor)]
    assert page.index(names[-1]) < page.index(names[0])
    assert "The books are closed." in page
    anna_at_list.client.post(f"/administrations/{last.pk}/sync/now", {"next": f"/imports/{key}/"})
    with organisation_scope(anna_at_list.actor.organisation_id):
        last.refresh_from_db()
        assert (last.status, Run.objects.filter(administration=last).count()) == ("queued", 1)
    assert colleague_of(anna_at_list, actor, "user").client.get(f"/imports/{key}/").status_code == 404
