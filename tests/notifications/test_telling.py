"""Who is told of what, once. The firm: Anna is an Administrator, Ben owns the connection, Cleo is a colleague."""

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone

from koppel.administrations.models import Administration, Assignment, Favourite
from koppel.connections.health.states import mark_lost
from koppel.connections.models import Connection
from koppel.issues.models import Issue
from koppel.issues.services import raise_issue, resolve_issues
from koppel.kit.tenancy import organisation_scope
from koppel.notifications.events.dispatch import register_check
from koppel.notifications.events.erasure import forget_administration
from koppel.notifications.events.services import settle_for
from koppel.notifications.inbox.services import notify
from koppel.notifications.models import Arrangement, Happening
from koppel.notifications.sources.issue_digest import CONFIRM_FOR, tell_new_issues
from koppel.notifications.tasks import keep
from koppel.organisations.models import Division, DivisionMember, Organisation, Template
from koppel.organisations.roles import Actor
from koppel.organisations.services import save_division
from tests.books.factories import administration_of, assign
from tests.notifications.factories import (
    NEWS,
    TROUBLE,
    WORSE,
    a_day_passes,
    a_quarter_of_an_hour_passes,
    change,
    happens,
    is_over,
    mails,
    prefers,
    told,
)


@dataclass
class Firm:
    anna: Actor
    ben: Actor
    cleo: Actor


@pytest.fixture
def firm(actor: Any) -> Firm:
    anna = actor("administrator", name="Anna")
    with organisation_scope(anna.organisation_id):
        organisation = Organisation.objects.get(pk=anna.organisation_id)
    return Firm(anna, *(actor("user", organisation=organisation, name=name) for name in ("Ben", "Cleo")))


def of(number: int, reason: str = "no answer") -> dict[int, dict[str, str]]:
    return {number: {"name": f"Company {number}", "reason": reason}}


def test_two_hundred_failing_administrations_of_a_dead_connection_are_one_mail(firm: Firm) -> None:
    for number in range(200):
        happens(firm.ben, TROUBLE, "connection 1", administrations=of(number))
        happens(firm.ben, WORSE, "connection 1", facts={"account": "s.jansen"})
    a_quarter_of_an_hour_passes(firm.ben)
    assert told(firm.ben) == ["All is lost at s.jansen"]
    assert mails(firm.ben) == ["waiting"]
    assert told(firm.anna) == told(firm.cleo) == []


def test_many_failing_ones_of_a_living_connection_are_one_mail_that_names_them(firm: Firm) -> None:
    for number in (3, 1, 2, 1):
        happens(firm.ben, TROUBLE, "connection 1", administrations=of(number))
    a_quarter_of_an_hour_passes(firm.ben)
    happens(firm.ben, TROUBLE, "connection 1", administrations=of(4))
    a_quarter_of_an_hour_passes(firm.ben)
    assert told(firm.ben) == ["Trouble at 3: Company 1, Company 2, Company 3"]
    assert mails(firm.ben) == ["waiting"]


def test_those_that_trouble_reaches_later_are_told_together_once_a_day(firm: Firm) -> None:
    happens(firm.ben, TROUBLE, administrations=of(1))
    a_quarter_of_an_hour_passes(firm.ben)
    for number in (1, 2, 3):
        happens(firm.ben, TROUBLE, administrations=of(number))
    a_quarter_of_an_hour_passes(firm.ben)
    first = "Trouble at Company 1: no answer"
    assert told(firm.ben) == [first]
    a_day_passes(firm.ben)
    assert told(firm.ben) == [first, "Trouble at 2: Company 2, Company 3"]
    assert mails(firm.ben) == ["waiting", "waiting"]
    happens(firm.ben, TROUBLE, administrations=of(2))
    a_day_passes(firm.ben)
    assert len(told(firm.ben)) == 2, "of each once, however long it lasts"


def test_what_was_well_in_between_is_told_again(firm: Firm) -> None:
    for number in (1, 2):
        happens(firm.ben, TROUBLE, administrations=of(number))
    a_quarter_of_an_hour_passes(firm.ben)
    with organisation_scope(firm.ben.organisation_id):
        settle_for(firm.ben.organisation_id, TROUBLE, "one", [2])
    a_day_passes(firm.ben)
    happens(firm.ben, TROUBLE, administrations=of(2, "locked"))
    a_day_passes(firm.ben)
    assert told(firm.ben) == ["Trouble at 2: Company 1, Company 2", "Trouble at Company 2: locked"]


def test_a_single_one_is_told_with_its_reason(firm: Firm) -> None:
    happens(firm.ben, TROUBLE, administrations=of(7, "locked"))
    a_quarter_of_an_hour_passes(firm.ben)
    assert told(firm.ben) == ["Trouble at Company 7: locked"]


def test_trouble_that_heals_itself_is_never_told(firm: Firm) -> None:
    happens(firm.ben, TROUBLE)
    is_over(firm.ben, TROUBLE)
    a_quarter_of_an_hour_passes(firm.ben)
    assert (told(firm.ben), mails(firm.ben)) == ([], [])


def test_a_mail_that_waits_is_dropped_when_the_trouble_is_over_and_the_next_one_is_news(firm: Firm) -> None:
    for _time in range(2):
        happens(firm.ben, WORSE, facts={"account": "x"})
        is_over(firm.ben, WORSE)
    assert mails(firm.ben) == ["dropped", "dropped"]
    with organisation_scope(firm.ben.organisation_id):
        assert Happening.objects.filter(state="settled").count() == 2


def test_what_is_rolled_back_is_not_told(firm: Firm) -> None:
    with transaction.atomic():
        happens(firm.ben)
        transaction.set_rollback(True)
    assert (told(firm.ben), mails(firm.ben)) == ([], [])


def test_the_same_news_is_told_once_even_much_later(firm: Firm) -> None:
    for _time in range(3):
        happens(firm.ben, NEWS, "import 7", administrations=of(1))
    assert told(firm.ben) == ["News of Company 1"]


def test_somebody_who_left_is_replaced_by_an_administrator(firm: Firm) -> None:
    change(firm.ben, is_active=False)
    happens(firm.ben, administrations=of(1))
    change(firm.ben, is_active=True, expires_at=timezone.now() - timedelta(days=1))
    happens(firm.ben, key="two", administrations=of(2))
    assert told(firm.ben) == []
    assert told(firm.anna) == ["News of Company 1", "News of Company 2"]


def test_somebody_who_is_away_is_replaced_by_the_chosen_stand_in(firm: Firm) -> None:
    arrangement = {"stand_in_id": firm.cleo.membership_id, "away_until": timezone.localdate()}
    with organisation_scope(firm.ben.organisation_id):
        own = Arrangement.objects.create(
            organisation_id=firm.ben.organisation_id, membership_id=firm.ben.membership_id, **arrangement
        )
    happens(firm.ben, administrations=of(1))
    assert (told(firm.ben), told(firm.cleo)) == ([], ["News of Company 1"])
    with organisation_scope(firm.ben.organisation_id):
        own.away_until = timezone.localdate() - timedelta(days=1)
        own.save()
    happens(firm.ben, key="two", administrations=of(2))
    assert told(firm.ben) == ["News of Company 2"]


def test_two_who_stand_in_for_each_other_and_are_away_leave_it_to_an_administrator(firm: Firm) -> None:
    with organisation_scope(firm.ben.organisation_id):
        for one, other in ((firm.ben, firm.cleo), (firm.cleo, firm.ben)):
            Arrangement.objects.create(
                organisation_id=one.organisation_id, membership_id=one.membership_id, stand_in_id=other.membership_id,
                away_until=timezone.localdate(),
            )  # fmt: skip
    happens(firm.ben, administrations=of(1))
    assert told(firm.anna) == ["News of Company 1"]


def test_a_person_may_silence_mail_but_is_told_on_screen(firm: Firm) -> None:
    prefers(firm.ben, NEWS, mail="none")
    happens(firm.ben, administrations=of(1))
    assert (told(firm.ben), mails(firm.ben)) == (["News of Company 1"], [])


def test_being_assigned_subscribes_nobody_and_asking_does(firm: Firm) -> None:
    one = administration_of(firm.ben, "Bakkerij De Haan")
    assign(firm.cleo, one)
    touched = {one.pk: {"name": one.name}}
    happens(firm.ben, administrations=touched)
    assert told(firm.cleo) == []
    prefers(firm.cleo, NEWS, screen="all")
    happens(firm.ben, key="two", administrations=touched)
    assert (told(firm.cleo), mails(firm.cleo)) == (["News of Bakkerij De Haan"], [])


def test_favourites_and_divisions_narrow_what_a_colleague_is_told(firm: Firm) -> None:
    starred, shared, other = (administration_of(firm.ben, name) for name in ("Starred", "Shared", "Other"))
    with organisation_scope(firm.anna.organisation_id):
        save_division(firm.anna, None, "Zuid")
        from koppel.organisations.models import Division

        division = Division.objects.get(name="Zuid")
        DivisionMember.objects.create(
            organisation_id=firm.cleo.organisation_id, division=division, membership_id=firm.cleo.membership_id
        )
        Administration.objects.filter(pk=shared.pk).update(division=division)
        Favourite.objects.create(
            organisation_id=firm.cleo.organisation_id, administration=starred, membership_id=firm.cleo.membership_id
        )
    for one in (starred, other):
        assign(firm.cleo, one)
    everything = {one.pk: {"name": one.name, "reason": "x"} for one in (starred, shared, other)}
    prefers(firm.cleo, TROUBLE, screen="favourites", mail="divisions")
    happens(firm.ben, TROUBLE, administrations=everything)
    a_quarter_of_an_hour_passes(firm.ben)
    assert told(firm.cleo) == ["Trouble at 2: Shared, Starred"]
    assert told(firm.ben) == ["Trouble at 3: Other, Shared, Starred"]
    prefers(firm.cleo, NEWS, screen="favourites")
    happens(firm.ben, NEWS, "other", administrations={other.pk: {"name": "Other"}})
    assert len(told(firm.cleo)) == 1


def test_a_restricted_administration_is_not_named_to_whom_it_does_not_exist(firm: Firm) -> None:
    """Ben is responsible for its connection but not named on it: Cleo is, and is told instead."""
    hidden, other = administration_of(firm.ben, "Hidden", restricted=True), administration_of(firm.ben, "Other")
    assign(firm.cleo, hidden)
    prefers(firm.anna, NEWS, screen="all", mail="all")
    both = {one.pk: {"name": one.name} for one in (hidden, other)}
    happens(firm.ben, key="both", administrations=both)
    happens(firm.ben, key="alone", administrations={hidden.pk: {"name": hidden.name}})
    assert told(firm.ben) == told(firm.anna) == ["News of Other"]
    assert told(firm.cleo) == ["News of Hidden", "News of Hidden"]
    change(firm.cleo, is_active=False)
    happens(firm.ben, key="orphaned", administrations={hidden.pk: {"name": hidden.name}})
    assert told(firm.ben) == ["News of Other", "News of –"], "heard, but not named"
    change(firm.cleo, is_active=True)
    assign(firm.ben, hidden)
    happens(firm.ben, key="named", administrations={hidden.pk: {"name": hidden.name}})
    assert told(firm.ben)[-1] == "News of Hidden"


def test_named_people_are_told_once_however_often_they_are_named(firm: Firm) -> None:
    with organisation_scope(firm.anna.organisation_id):
        member = firm.ben.membership_id
        notify(firm.anna.organisation_id, NEWS, [member, member, 987654], {"name": "X"}, "/issues/")
    assert (told(firm.ben), mails(firm.ben)) == (["News of X"], ["waiting"])


def test_a_lost_connection_is_told_to_its_owner_once(firm: Firm) -> None:
    one = administration_of(firm.ben, "Bakkerij De Haan")
    with organisation_scope(firm.ben.organisation_id):
        Connection.objects.filter(pk=one.connection_id).update(state="active", account="s.jansen@kantoor.nl")
    for _time in range(3):
        mark_lost(firm.ben.organisation_id, one.connection_id, "the password was changed")
    assert told(firm.ben) == [
        "The connection of s.jansen@kantoor.nl needs you to sign in again: the password was changed"
    ]
    assert mails(firm.ben) == ["waiting"]


def test_new_issues_are_one_notice_and_what_was_put_right_is_left_out(firm: Firm) -> None:
    first, second = administration_of(firm.ben, "First"), administration_of(firm.ben, "Second")
    organisation_id = firm.ben.organisation_id
    with organisation_scope(organisation_id):
        for place, one in enumerate((first, first, second, second)):
            raise_issue(organisation_id, "test_made_up", ("administration", one.pk), detail_key=str(place))
        raise_issue(organisation_id, "sync_failed", ("administration", first.pk), {"reason": "has its own notice"})
        resolve_issues(organisation_id, ("administration", second.pk), detail_key="3")
        assert tell_new_issues(organisation_id) == 0
        Issue.objects.update(raised_at=timezone.now() - CONFIRM_FOR - timedelta(seconds=1))
        assert tell_new_issues(organisation_id) == 4
        assert tell_new_issues(organisation_id) == 0
    assert told(firm.ben) == ["3 issues need you. They are about: First, Second"]
    assert told(firm.anna) == []


def test_a_single_issue_is_told_in_its_own_words(firm: Firm) -> None:
    one = administration_of(firm.ben, "First")
    organisation_id = firm.ben.organisation_id
    with organisation_scope(organisation_id):
        raise_issue(
            organisation_id, "entry_unbalanced", ("administration", one.pk), {"number": "7", "difference": "1.00"}
        )
        Issue.objects.update(raised_at=timezone.now() - timedelta(hours=1))
        tell_new_issues(organisation_id)
    assert told(firm.ben) == ["First needs you: Entry 7 does not balance: debit and credit differ by 1.00."]


def test_the_settings_of_an_administration_say_who_is_told_of_its_troubles(firm: Firm, actor: Any) -> None:
    """Daan is assigned by choice, Cleo is of the division, Eva only by default. Ben is responsible."""
    with organisation_scope(firm.anna.organisation_id):
        organisation = Organisation.objects.get(pk=firm.anna.organisation_id)
    daan, eva = (actor("user", organisation=organisation, name=name) for name in ("Daan", "Eva"))
    quiet, small, wide = (administration_of(firm.anna, name) for name in ("Stil", "Klein", "Ruim"))
    own = {"organisation_id": organisation.pk}
    with organisation_scope(organisation.pk):
        division = Division.objects.create(**own, name="Zuid")
        DivisionMember.objects.create(**own, division=division, membership_id=firm.cleo.membership_id)
        template = Template.objects.create(**own, name="Ruim", settings={"notify": {"sync_failing": "division"}})
        Administration.objects.filter(pk=quiet.pk).update(settings={"notify": {"sync_failing": "nobody"}})
        Administration.objects.filter(pk__in=[small.pk, wide.pk]).update(division=division)
        Administration.objects.filter(pk=wide.pk).update(template=template)
        for one in (small, wide):
            Assignment.objects.create(**own, administration=one, membership_id=daan.membership_id)
            Assignment.objects.create(**own, administration=one, membership_id=eva.membership_id, automatic=True)
    prefers(daan, "sync_failing", mail="none")
    names = {one.pk: {"name": one.name, "reason": "no answer"} for one in (quiet, small, wide)}
    happens(firm.ben, "sync_failing", "connection 1", administrations=names)
    a_quarter_of_an_hour_passes(firm.ben)
    assert "Klein, Ruim" in told(firm.ben)[0]
    assert "Stil" not in told(firm.ben)[0], "its settings tell nobody"
    for person in (daan, firm.cleo):
        assert "Ruim" in told(person)[0], "the template names these"
        assert "Klein" not in told(person)[0]
    assert (mails(daan), mails(firm.cleo)) == ([], ["waiting"]), "who silenced mail has silenced it"
    assert told(eva) == told(firm.anna) == [], "being assigned by default subscribes nobody"


def test_what_the_organisation_tells_nobody_of_is_told_nobody(firm: Firm) -> None:
    one = administration_of(firm.anna, "Stil")
    with organisation_scope(one.organisation_id):
        Organisation.objects.update(settings={"notify": {"sync_failing": "nobody"}})
        Administration.objects.update(settings={"notify": {"sync_failing": "division"}})
    happens(firm.ben, "sync_failing", administrations={one.pk: {"name": one.name, "reason": "x"}})
    a_quarter_of_an_hour_passes(firm.ben)
    assert told(firm.ben) == told(firm.anna) == []
    prefers(firm.anna, "sync_failing", screen="all")
    is_over(firm.ben, "sync_failing")
    happens(firm.ben, "sync_failing", administrations={one.pk: {"name": one.name, "reason": "x"}})
    a_quarter_of_an_hour_passes(firm.ben)
    assert len(told(firm.anna)) == 1, "who asked is told anyway"


def test_forgetting_one_administration_keeps_what_was_told_of_another_whose_name_begins_alike(
    actor: Any,
) -> None:
    anna = actor("administrator", name="Anna")
    short, long = administration_of(anna, "Bakker"), administration_of(anna, "Bakker Noord")
    with organisation_scope(anna.organisation_id):
        piet = actor("user", organisation=Organisation.objects.get(), name="Piet")
    assign(piet, long)
    prefers(piet, NEWS, screen="all")
    happens(anna, NEWS, administrations={one.pk: {"name": one.name} for one in (short, long)})
    assert told(piet) == ["News of Bakker Noord"]
    with organisation_scope(anna.organisation_id):
        forget_administration(anna.organisation_id, short.pk)
    assert told(piet) == ["News of Bakker Noord"]
    assert told(anna) == ["News of Bakker Noord"]


def test_what_cannot_be_told_keeps_nobody_else_uninformed(
    firm: Firm, actor: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fault of ours at one happening: neither its firm's other news nor the firms after it wait for a new version."""
    from koppel.notifications.events import dispatch as telling

    def breaks(happening: Happening) -> bool:
        if happening.key == "broken":
            raise KeyError("a fault of ours")
        return True

    monkeypatch.setattr(telling, "_checks", dict(telling._checks))
    register_check(TROUBLE, breaks)
    other = actor("administrator", name="Zoë")
    for boss in (firm.anna, other):
        happens(boss, TROUBLE, "broken", administrations=of(2))
        happens(boss, TROUBLE, "good", administrations=of(1))
        with organisation_scope(boss.organisation_id):
            Happening.objects.filter(key="broken").update(due_at=timezone.now() - timedelta(hours=2))
            Happening.objects.filter(key="good").update(due_at=timezone.now() - timedelta(hours=1))
    asyncio.run(keep(timestamp=0))
    assert [told(boss) for boss in (firm.anna, other)] == [["Trouble at Company 1: no answer"]] * 2
    with organisation_scope(firm.anna.organisation_id):
        assert Happening.objects.get(key="broken").state == "waiting", "it is told once the fault is put right"
