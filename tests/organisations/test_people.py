"""Who may change whom, the last Administrator, and leaving with a hand-over."""

import threading
from datetime import timedelta
from typing import Any

import pytest
from django.db import connections
from django.utils import timezone

from koppel.administrations.models import Administration, Assignment, SavedView
from koppel.audit.models import AuditEntry
from koppel.kit.tenancy import organisation_scope
from koppel.organisations.errors import Refused
from koppel.organisations.models import Division, Membership, Organisation
from koppel.organisations.people import services as people_services
from koppel.organisations.people.services import MembershipTerms
from koppel.organisations.roles import Actor, Role
from tests.books.factories import administration_of, assign
from tests.fixtures.confirmation import post_and_confirm
from tests.fixtures.forms import form_of
from tests.fixtures.people import signed_in


@pytest.fixture
def admin(actor: Any) -> Actor:
    return actor("administrator", name="Anna")  # type: ignore[no-any-return]


def create_firm(admin: Actor) -> Organisation:
    with organisation_scope(admin.organisation_id):
        return Organisation.objects.get()


def page_of(person: Actor) -> str:
    return f"/organisation/people/{person.membership_id}/"


def membership(person: Actor) -> Membership:
    with organisation_scope(person.organisation_id):
        return Membership.objects.get(pk=person.membership_id)


def test_role_divisions_and_end_are_changed_and_audited(admin: Actor, actor: Any) -> None:
    user = actor("user", organisation=create_firm(admin), name="Bram")
    with organisation_scope(admin.organisation_id):
        north, south = (
            Division.objects.create(organisation_id=admin.organisation_id, name=n) for n in ("Noord", "Zuid")
        )
    form = {"role": "team_leader", "divisions": [north.pk, south.pk], "until": "2099-12-31", "is_active": "1"}
    signed_in(admin).post(page_of(user), form)
    changed = membership(user)
    assert (changed.role, changed.is_active, changed.is_live) == ("team_leader", True, True)
    with organisation_scope(admin.organisation_id):
        entry = AuditEntry.objects.get(action="person.changed")
    assert entry.details["before"] == {"role": "user", "is_active": True, "until": None, "divisions": []}
    assert entry.details["after"]["divisions"] == ["Noord", "Zuid"]
    assert (entry.interface, entry.ip_address) == ("web", "127.0.0.1")


@pytest.mark.parametrize("day", ["2020-12-31", "0001-01-01"])
def test_a_past_day_does_not_take_access_away_unasked(admin: Actor, actor: Any, day: str) -> None:
    bram = actor("user", organisation=create_firm(admin), name="Bram")
    bram_browser = signed_in(bram)
    form = {"role": "user", "is_active": "1", "until": day}
    answer = signed_in(admin).post(page_of(bram), form, follow=True).content.decode()
    assert "Choose an end date in the future." in answer
    assert membership(bram).is_live
    assert bram_browser.get("/").status_code == 200


def test_the_last_administrator_stays(admin: Actor, actor: Any) -> None:
    client = signed_in(admin)
    for form in (
        {"role": "user", "is_active": "1"},
        {"role": "administrator", "is_active": "1", "until": "2099-01-01"},
    ):
        answer = client.post(page_of(admin), form, follow=True)
        assert "last Administrator" in answer.content.decode()
    assert membership(admin).role == "administrator"
    actor("administrator", organisation=create_firm(admin))
    client.post(page_of(admin), {"role": "user", "is_active": "1"})
    assert membership(admin).role == "user"


def test_two_administrators_cannot_take_each_other_away_at_the_same_moment(admin: Actor, actor: Any) -> None:
    other = actor("administrator", organisation=create_firm(admin))
    outcomes: list[str] = []
    start = threading.Barrier(2)

    def demote(acting: Actor, whom: Actor) -> None:
        start.wait()
        try:
            with organisation_scope(acting.organisation_id):
                people_services.update_membership(
                    acting,
                    whom.membership_id,
                    MembershipTerms(role=Role.USER, is_active=True, expires_at=None, divisions=frozenset()),
                )
            outcomes.append("done")
        except Refused:
            outcomes.append("refused")
        finally:
            connections.close_all()

    threads = [threading.Thread(target=demote, args=pair) for pair in ((admin, other), (other, admin))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["done", "refused"]


def test_a_team_leader_neither_makes_nor_changes_an_administrator(admin: Actor, actor: Any) -> None:
    firm = create_firm(admin)
    leader, user = actor("team_leader", organisation=firm), actor("user", organisation=firm)
    client = signed_in(leader)
    for whom, form in ((admin, {"role": "user"}), (user, {"role": "administrator", "is_active": "1"})):
        answer = client.post(page_of(whom), form, follow=True)
        assert "Only an Administrator" in answer.content.decode()
    for action in ("end-sessions", "second-step", "hand-over"):
        client.post(page_of(admin) + action, {"to": user.membership_id, "deactivate": "1"})
    assert (membership(admin).is_active, membership(user).role) == (True, "user")


def test_removing_access_takes_effect_at_once(admin: Actor, actor: Any) -> None:
    user = actor("user", organisation=create_firm(admin))
    client = signed_in(user)
    assert client.get("/").status_code == 200
    post_and_confirm(signed_in(admin), page_of(user), {"role": "user"})
    assert client.get("/").status_code == 302, "The session is over, not only refused."


def test_access_ends_by_itself_on_its_day(admin: Actor, actor: Any) -> None:
    user = actor("user", organisation=create_firm(admin))
    with organisation_scope(admin.organisation_id):
        Membership.objects.filter(pk=user.membership_id).update(
            expires_at=timezone.now() - timedelta(minutes=1)
        )
    assert signed_in(user).get("/").status_code == 403
    assert "Expired" in signed_in(admin).get("/organisation/people/?access=expired").content.decode()


def test_a_leaving_member_hands_everything_over_at_once(admin: Actor, actor: Any) -> None:
    firm = create_firm(admin)
    leaver, heir = (
        actor("user", organisation=firm, name="Lotte"),
        actor("user", organisation=firm, name="Hugo"),
    )
    shared, secret = administration_of(admin, "Gedeeld"), administration_of(admin, "Geheim", restricted=True)
    for administration, person in ((shared, leaver), (shared, heir), (secret, leaver)):
        assign(person, administration)
    with organisation_scope(admin.organisation_id):
        for person in (leaver, heir):
            SavedView.objects.create(
                organisation_id=firm.pk,
                membership_id=person.membership_id,
                name="Mine",
                query="status=active",
            )
    page = signed_in(admin).get(page_of(leaver)).content.decode()
    for words in (
        "2 administrations assigned",
        "1 restricted administration will have no user with access",
        "1 saved view",
    ):
        assert words in page
    post_and_confirm(
        signed_in(admin), page_of(leaver) + "hand-over", {"to": heir.membership_id, "deactivate": "1"}
    )
    assert not membership(leaver).is_active
    with organisation_scope(admin.organisation_id):
        assert set(Assignment.objects.values_list("administration__name", "membership_id")) == {
            ("Gedeeld", heir.membership_id),
            ("Geheim", heir.membership_id),
        }
        assert set(SavedView.objects.values_list("name", "membership_id")) == {
            ("Mine", heir.membership_id),
            ("Mine of Lotte", heir.membership_id),
        }
        assert AuditEntry.objects.get(action="person.ownership_transferred").details["to"] == "Hugo"
    assert "Nothing depends on this person" in signed_in(admin).get(page_of(leaver)).content.decode()


def test_handing_over_does_not_disclose_restricted_administrations(admin: Actor, actor: Any) -> None:
    """Restricted books go along by who is named on them, or when nobody else is left; a number tells nobody
    that they exist.
    """
    firm = create_firm(admin)
    leader, owner = actor("team_leader", organisation=firm), actor("user", organisation=firm, name="Lotte")
    secret = administration_of(admin, "Geheim", restricted=True)
    assign(owner, secret)
    assert "You have no administrations" not in signed_in(leader).get(page_of(owner)).content.decode()
    for thief in (leader, admin):
        signed_in(thief).post(page_of(owner) + "hand-over", {"to": thief.membership_id})
        assert signed_in(thief).get(f"/administrations/{secret.pk}/").status_code == 404, thief.role
    post_and_confirm(
        signed_in(leader), page_of(owner) + "hand-over", {"to": leader.membership_id, "deactivate": "1"}
    )
    assert signed_in(leader).get(f"/administrations/{secret.pk}/").status_code == 404
    with organisation_scope(admin.organisation_id):
        assert list(Assignment.objects.values_list("membership_id", flat=True)) == [owner.membership_id]
    post_and_confirm(signed_in(admin), page_of(owner) + "hand-over", {"to": admin.membership_id})
    assert signed_in(admin).get(f"/administrations/{secret.pk}/").status_code == 200, "Nobody else was left."


def test_what_an_administrator_holds_is_not_a_team_leaders_to_take(admin: Actor, actor: Any) -> None:
    """And a hand-over that is refused has moved nothing."""
    firm = create_firm(admin)
    leader, heir = actor("team_leader", organisation=firm), actor("user", organisation=firm)
    administration = administration_of(admin, "Gedeeld")
    assign(admin, administration)
    answer = signed_in(leader).post(page_of(admin) + "hand-over", {"to": leader.membership_id}, follow=True)
    assert "Only an Administrator" in answer.content.decode()
    answer = signed_in(admin).post(
        page_of(admin) + "hand-over", {"to": heir.membership_id, "deactivate": "1"}, follow=True
    )
    assert "cannot revoke your own access" in answer.content.decode()
    with organisation_scope(admin.organisation_id):
        assert list(Assignment.objects.values_list("membership_id", flat=True)) == [admin.membership_id]


def test_only_members_take_over(admin: Actor, actor: Any) -> None:
    user, stranger = actor("user", organisation=create_firm(admin)), actor("administrator")
    answer = signed_in(admin).post(page_of(user) + "hand-over", {"to": stranger.membership_id}, follow=True)
    assert "not a member" in answer.content.decode()
    assert signed_in(admin).get(page_of(stranger)).status_code == 404


def test_the_list_is_searched_and_filtered(admin: Actor, actor: Any) -> None:
    firm = create_firm(admin)
    for role, name in (("user", "Bram Bos"), ("reader", "Cor Dam")):
        actor(role, organisation=firm, name=name)
    client = signed_in(admin)
    for query, seen in (("q=bram", "Bram Bos"), ("role=reader", "Cor Dam"), ("q=reader-", "Cor Dam")):
        page = client.get(f"/organisation/people/?{query}").content.decode()
        assert {name for name in ("Bram Bos", "Cor Dam") if f">{name}</a>" in page} == {seen}, query
    for strange in (
        "role=king",
        "division=x",
        "division=987654",
        "page=-1",
        "access=maybe",
        "Role=reader",
        "q=%00",
    ):
        page = client.get(f"/organisation/people/?{strange}").content.decode()
        assert ("Unknown filter" in page, "Bram Bos</a>" in page) == (True, False), strange
    assert client.get("/organisation/people/?page=99").status_code == 200


def test_saving_a_persons_page_leaves_what_it_does_not_show(admin: Actor, actor: Any) -> None:
    """An archived division is not offered any more; who is in it stays."""
    user = actor("user", organisation=create_firm(admin), name="Bram")
    administration = administration_of(admin, "Bakkerij")
    with organisation_scope(admin.organisation_id):
        old = Division.objects.create(
            organisation_id=admin.organisation_id, name="Old", archived_at=timezone.now()
        )
        new = Division.objects.create(organisation_id=admin.organisation_id, name="New")
        people_services.set_divisions(membership(user), [old.pk, new.pk])
        Administration.objects.update(division=old)
    form = {**form_of(signed_in(admin).get(page_of(user)).content.decode()), "until": "2099-12-31"}
    signed_in(admin).post(page_of(user), form)
    assert signed_in(user).get(f"/administrations/{administration.pk}/").status_code == 200
    signed_in(admin).post(page_of(user), {**form, "divisions": []})
    with organisation_scope(admin.organisation_id):
        assert people_services.terms_of(membership(user)).divisions == {old.pk}


def test_handing_over_preserves_default_and_chosen_assignments(admin: Actor, actor: Any) -> None:
    """Being on it by default is no choice of anybody; being chosen for it is, also for who was on it by
    default.
    """
    firm = create_firm(admin)
    leaver, heir = actor("administrator", organisation=firm), actor("administrator", organisation=firm)
    by_default, chosen = administration_of(admin, "Default"), administration_of(admin, "Chosen")
    tenant_keys = {"organisation_id": firm.pk}
    with organisation_scope(admin.organisation_id):
        for administration, person, automatic in (
            (by_default, leaver, True),
            (chosen, leaver, False),
            (chosen, heir, True),
        ):
            Assignment.objects.create(
                **tenant_keys,
                administration=administration,
                membership_id=person.membership_id,
                automatic=automatic,
            )
    post_and_confirm(signed_in(admin), page_of(leaver) + "hand-over", {"to": heir.membership_id})
    with organisation_scope(admin.organisation_id):
        assert set(Assignment.objects.values_list("administration__name", "membership_id", "automatic")) == {
            ("Default", heir.membership_id, True),
            ("Chosen", heir.membership_id, False),
        }


def test_views_of_one_name_are_handed_over_as_often_as_need_be(admin: Actor, actor: Any) -> None:
    firm = create_firm(admin)
    leaver, heir = (
        actor("user", organisation=firm, name="Lotte"),
        actor("user", organisation=firm, name="Hugo"),
    )
    for _ in range(2):
        with organisation_scope(admin.organisation_id):
            for person in (leaver, heir):
                SavedView.objects.get_or_create(
                    organisation_id=firm.pk,
                    membership_id=person.membership_id,
                    name="Mine",
                    query="status=active",
                )
        answer = post_and_confirm(signed_in(admin), page_of(leaver) + "hand-over", {"to": heir.membership_id})
        assert answer.status_code == 302
    with organisation_scope(admin.organisation_id):
        assert SavedView.objects.filter(membership_id=heir.membership_id).count() == 3
