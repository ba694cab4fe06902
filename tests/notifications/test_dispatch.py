"""Who is notified of what, once.

In this organisation Anna is an Administrator, Ben owns the connection, and Cleo is a colleague.
"""

import asyncio
from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone

from koppel.administrations.models import Administration, Assignment, Favourite
from koppel.audit.subjects import Subject, SubjectKind
from koppel.connections.health.states import require_reauth
from koppel.connections.models import Connection
from koppel.issues.models import Issue
from koppel.issues.services import raise_issue, resolve_issues
from koppel.kit.tenancy import organisation_scope
from koppel.notifications.audience.hooks import fallback_recipients
from koppel.notifications.events.erasure import erase_administration
from koppel.notifications.events.keys import EventKey
from koppel.notifications.events.services import close_event_for, notify_members
from koppel.notifications.models import DeliverySettings, Event
from koppel.notifications.sources.issue_digest import SETTLE_TIME, notify_new_issues
from koppel.notifications.tasks import run_maintenance
from koppel.organisations.groups.divisions import create_division
from koppel.organisations.groups.inputs import DivisionInput
from koppel.organisations.models import Division, DivisionMember, Organisation, Template
from koppel.organisations.roles import Actor
from tests.books.factories import administration_of, assign
from tests.notifications.factories import (
    NEWS,
    TROUBLE,
    WORSE,
    change,
    close_test_event,
    mails,
    open_test_event,
    pass_day,
    pass_quarter_hour,
    screen_messages,
    set_preferences,
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


def administration_payload(number: int, reason: str = "no answer") -> dict[int, dict[str, str]]:
    return {number: {"name": f"Company {number}", "reason": reason}}


def test_two_hundred_failing_administrations_of_a_dead_connection_are_one_mail(firm: Firm) -> None:
    for number in range(200):
        open_test_event(firm.ben, TROUBLE, "connection 1", administrations=administration_payload(number))
        open_test_event(firm.ben, WORSE, "connection 1", context={"account": "s.jansen"})
    pass_quarter_hour(firm.ben)
    assert screen_messages(firm.ben) == ["All is lost at s.jansen"]
    assert mails(firm.ben) == ["waiting"]
    assert screen_messages(firm.anna) == screen_messages(firm.cleo) == []


def test_many_failing_ones_of_a_living_connection_are_one_mail_that_names_them(firm: Firm) -> None:
    for number in (3, 1, 2, 1):
        open_test_event(firm.ben, TROUBLE, "connection 1", administrations=administration_payload(number))
    pass_quarter_hour(firm.ben)
    open_test_event(firm.ben, TROUBLE, "connection 1", administrations=administration_payload(4))
    pass_quarter_hour(firm.ben)
    assert screen_messages(firm.ben) == ["Trouble at 3: Company 1, Company 2, Company 3"]
    assert mails(firm.ben) == ["waiting"]


def test_later_failures_are_sent_together_once_a_day(firm: Firm) -> None:
    open_test_event(firm.ben, TROUBLE, administrations=administration_payload(1))
    pass_quarter_hour(firm.ben)
    for number in (1, 2, 3):
        open_test_event(firm.ben, TROUBLE, administrations=administration_payload(number))
    pass_quarter_hour(firm.ben)
    first = "Trouble at Company 1: no answer"
    assert screen_messages(firm.ben) == [first]
    pass_day(firm.ben)
    assert screen_messages(firm.ben) == [first, "Trouble at 2: Company 2, Company 3"]
    assert mails(firm.ben) == ["waiting", "waiting"]
    open_test_event(firm.ben, TROUBLE, administrations=administration_payload(2))
    pass_day(firm.ben)
    assert len(screen_messages(firm.ben)) == 2, "of each once, however long it lasts"


def test_a_failure_after_a_recovery_is_sent_again(firm: Firm) -> None:
    for number in (1, 2):
        open_test_event(firm.ben, TROUBLE, administrations=administration_payload(number))
    pass_quarter_hour(firm.ben)
    with organisation_scope(firm.ben.organisation_id):
        close_event_for(firm.ben.organisation_id, TROUBLE, EventKey("one", 1), [2])
    pass_day(firm.ben)
    open_test_event(firm.ben, TROUBLE, administrations=administration_payload(2, "locked"))
    pass_day(firm.ben)
    assert screen_messages(firm.ben) == ["Trouble at 2: Company 1, Company 2", "Trouble at Company 2: locked"]


def test_a_single_failure_is_sent_with_its_reason(firm: Firm) -> None:
    open_test_event(firm.ben, TROUBLE, administrations=administration_payload(7, "locked"))
    pass_quarter_hour(firm.ben)
    assert screen_messages(firm.ben) == ["Trouble at Company 7: locked"]


def test_a_recovered_failure_is_never_sent(firm: Firm) -> None:
    open_test_event(firm.ben, TROUBLE)
    close_test_event(firm.ben, TROUBLE)
    pass_quarter_hour(firm.ben)
    assert (screen_messages(firm.ben), mails(firm.ben)) == ([], [])


def test_a_mail_that_waits_is_dropped_when_the_trouble_is_over_and_the_next_one_is_news(firm: Firm) -> None:
    for _time in range(2):
        open_test_event(firm.ben, WORSE, context={"account": "x"})
        close_test_event(firm.ben, WORSE)
    assert mails(firm.ben) == ["dropped", "dropped"]
    with organisation_scope(firm.ben.organisation_id):
        assert Event.objects.filter(state="closed").count() == 2


def test_a_rolled_back_event_is_not_sent(firm: Firm) -> None:
    with transaction.atomic():
        open_test_event(firm.ben)
        transaction.set_rollback(True)
    assert (screen_messages(firm.ben), mails(firm.ben)) == ([], [])


def test_the_same_event_is_sent_once(firm: Firm) -> None:
    for _time in range(3):
        open_test_event(firm.ben, NEWS, "import 7", administrations=administration_payload(1))
    assert screen_messages(firm.ben) == ["News of Company 1"]


def test_a_former_member_is_replaced_by_an_administrator(firm: Firm) -> None:
    change(firm.ben, is_active=False)
    open_test_event(firm.ben, administrations=administration_payload(1))
    change(firm.ben, is_active=True, expires_at=timezone.now() - timedelta(days=1))
    open_test_event(firm.ben, key="two", administrations=administration_payload(2))
    assert screen_messages(firm.ben) == []
    assert screen_messages(firm.anna) == ["News of Company 1", "News of Company 2"]


def test_an_absent_member_is_replaced_by_the_stand_in(firm: Firm) -> None:
    arrangement = {"stand_in_id": firm.cleo.membership_id, "away_until": timezone.localdate()}
    with organisation_scope(firm.ben.organisation_id):
        delivery_settings = DeliverySettings.objects.create(
            organisation_id=firm.ben.organisation_id, membership_id=firm.ben.membership_id, **arrangement
        )
    open_test_event(firm.ben, administrations=administration_payload(1))
    assert (screen_messages(firm.ben), screen_messages(firm.cleo)) == ([], ["News of Company 1"])
    with organisation_scope(firm.ben.organisation_id):
        delivery_settings.away_until = timezone.localdate() - timedelta(days=1)
        delivery_settings.save()
    open_test_event(firm.ben, key="two", administrations=administration_payload(2))
    assert screen_messages(firm.ben) == ["News of Company 2"]


def test_two_who_stand_in_for_each_other_and_are_away_leave_it_to_an_administrator(firm: Firm) -> None:
    with organisation_scope(firm.ben.organisation_id):
        for member, stand_in in ((firm.ben, firm.cleo), (firm.cleo, firm.ben)):
            DeliverySettings.objects.create(
                organisation_id=member.organisation_id,
                membership_id=member.membership_id,
                stand_in_id=stand_in.membership_id,
                away_until=timezone.localdate(),
            )
    open_test_event(firm.ben, administrations=administration_payload(1))
    assert screen_messages(firm.anna) == ["News of Company 1"]


def test_muted_mail_still_notifies_on_screen(firm: Firm) -> None:
    set_preferences(firm.ben, NEWS, email="none")
    open_test_event(firm.ben, administrations=administration_payload(1))
    assert (screen_messages(firm.ben), mails(firm.ben)) == (["News of Company 1"], [])


def test_assignment_does_not_subscribe_but_opting_in_does(firm: Firm) -> None:
    administration = administration_of(firm.ben, "Bakkerij De Haan")
    assign(firm.cleo, administration)
    administrations = {administration.pk: {"name": administration.name}}
    open_test_event(firm.ben, administrations=administrations)
    assert screen_messages(firm.cleo) == []
    set_preferences(firm.cleo, NEWS, screen="all")
    open_test_event(firm.ben, key="two", administrations=administrations)
    assert (screen_messages(firm.cleo), mails(firm.cleo)) == (["News of Bakkerij De Haan"], [])


def test_favourites_and_divisions_filter_notifications(firm: Firm) -> None:
    favourite, shared, other = (
        administration_of(firm.ben, name) for name in ("Favourite", "Shared", "Other")
    )
    with organisation_scope(firm.anna.organisation_id):
        create_division(firm.anna, DivisionInput(name="Zuid"))
        from koppel.organisations.models import Division

        division = Division.objects.get(name="Zuid")
        DivisionMember.objects.create(
            organisation_id=firm.cleo.organisation_id,
            division=division,
            membership_id=firm.cleo.membership_id,
        )
        Administration.objects.filter(pk=shared.pk).update(division=division)
        Favourite.objects.create(
            organisation_id=firm.cleo.organisation_id,
            administration=favourite,
            membership_id=firm.cleo.membership_id,
        )
    for administration in (favourite, other):
        assign(firm.cleo, administration)
    everything = {
        administration.pk: {"name": administration.name, "reason": "x"}
        for administration in (favourite, shared, other)
    }
    set_preferences(firm.cleo, TROUBLE, screen="favourites", email="divisions")
    open_test_event(firm.ben, TROUBLE, administrations=everything)
    pass_quarter_hour(firm.ben)
    assert screen_messages(firm.cleo) == ["Trouble at 2: Favourite, Shared"]
    assert screen_messages(firm.ben) == ["Trouble at 3: Favourite, Other, Shared"]
    set_preferences(firm.cleo, NEWS, screen="favourites")
    open_test_event(firm.ben, NEWS, "other", administrations={other.pk: {"name": "Other"}})
    assert len(screen_messages(firm.cleo)) == 1


def test_a_restricted_administration_is_not_named_to_others(firm: Firm) -> None:
    """Ben is responsible for its connection but not named on it: Cleo is, and is told instead."""
    hidden, other = (
        administration_of(firm.ben, "Hidden", restricted=True),
        administration_of(firm.ben, "Other"),
    )
    assign(firm.cleo, hidden)
    set_preferences(firm.anna, NEWS, screen="all", email="all")
    both = {one.pk: {"name": one.name} for one in (hidden, other)}
    open_test_event(firm.ben, key="both", administrations=both)
    open_test_event(firm.ben, key="alone", administrations={hidden.pk: {"name": hidden.name}})
    assert screen_messages(firm.ben) == screen_messages(firm.anna) == ["News of Other"]
    assert screen_messages(firm.cleo) == ["News of Hidden", "News of Hidden"]
    change(firm.cleo, is_active=False)
    open_test_event(firm.ben, key="orphaned", administrations={hidden.pk: {"name": hidden.name}})
    assert screen_messages(firm.ben) == ["News of Other", "News of –"], "heard, but not named"
    change(firm.cleo, is_active=True)
    assign(firm.ben, hidden)
    open_test_event(firm.ben, key="named", administrations={hidden.pk: {"name": hidden.name}})
    assert screen_messages(firm.ben)[-1] == "News of Hidden"


def test_named_people_are_notified_once(firm: Firm) -> None:
    with organisation_scope(firm.anna.organisation_id):
        member = firm.ben.membership_id
        notify_members(firm.anna.organisation_id, NEWS, [member, member, 987654], {"name": "X"}, "/issues/")
    assert (screen_messages(firm.ben), mails(firm.ben)) == (["News of X"], ["waiting"])


def test_a_lost_connection_is_sent_to_its_owner_once(firm: Firm) -> None:
    administration = administration_of(firm.ben, "Bakkerij De Haan")
    with organisation_scope(firm.ben.organisation_id):
        Connection.objects.filter(pk=administration.connection_id).update(
            state="active", account="s.jansen@kantoor.nl"
        )
    for _time in range(3):
        require_reauth(firm.ben.organisation_id, administration.connection_id, "the password was changed")
    assert screen_messages(firm.ben) == [
        "The connection of s.jansen@kantoor.nl needs you to sign in again: the password was changed"
    ]
    assert mails(firm.ben) == ["waiting"]


def test_new_issues_are_one_notification_without_resolved_ones(firm: Firm) -> None:
    first, second = administration_of(firm.ben, "First"), administration_of(firm.ben, "Second")
    organisation_id = firm.ben.organisation_id
    with organisation_scope(organisation_id):
        for index, administration in enumerate((first, first, second, second)):
            raise_issue(
                organisation_id,
                "test_made_up",
                Subject(SubjectKind.ADMINISTRATION, administration.pk),
                detail_key=str(index),
            )
        raise_issue(
            organisation_id,
            "sync_failed",
            Subject(SubjectKind.ADMINISTRATION, first.pk),
            {"reason": "has its own notice"},
        )
        resolve_issues(organisation_id, Subject(SubjectKind.ADMINISTRATION, second.pk), detail_key="3")
        assert notify_new_issues(organisation_id) == 0
        Issue.objects.update(raised_at=timezone.now() - SETTLE_TIME - timedelta(seconds=1))
        assert notify_new_issues(organisation_id) == 4
        assert notify_new_issues(organisation_id) == 0
    assert screen_messages(firm.ben) == ["3 issues need your attention, including: First, Second"]
    assert screen_messages(firm.anna) == []


def test_a_single_issue_is_sent_with_its_own_text(firm: Firm) -> None:
    administration = administration_of(firm.ben, "First")
    organisation_id = firm.ben.organisation_id
    with organisation_scope(organisation_id):
        raise_issue(
            organisation_id,
            "entry_unbalanced",
            Subject(SubjectKind.ADMINISTRATION, administration.pk),
            {"journal": "GL", "number": "7", "difference": "1.00", "currency": "EUR"},
        )
        Issue.objects.update(raised_at=timezone.now() - timedelta(hours=1))
        notify_new_issues(organisation_id)
    assert screen_messages(firm.ben) == [
        "First needs your attention: Entry GL 7 does not balance: difference €1.00."
    ]


def test_settings_of_an_administration_choose_the_recipients(firm: Firm, actor: Any) -> None:
    """Daan is assigned by choice, Cleo is of the division, Eva only by default. Ben is responsible."""
    with organisation_scope(firm.anna.organisation_id):
        organisation = Organisation.objects.get(pk=firm.anna.organisation_id)
    daan, eva = (actor("user", organisation=organisation, name=name) for name in ("Daan", "Eva"))
    quiet, small, wide = (administration_of(firm.anna, name) for name in ("Stil", "Klein", "Ruim"))
    tenant_keys = {"organisation_id": organisation.pk}
    with organisation_scope(organisation.pk):
        division = Division.objects.create(**tenant_keys, name="Zuid")
        DivisionMember.objects.create(**tenant_keys, division=division, membership_id=firm.cleo.membership_id)
        template = Template.objects.create(
            **tenant_keys, name="Ruim", settings={"notify": {"sync_failing": "division"}}
        )
        Administration.objects.filter(pk=quiet.pk).update(settings={"notify": {"sync_failing": "nobody"}})
        Administration.objects.filter(pk__in=[small.pk, wide.pk]).update(division=division)
        Administration.objects.filter(pk=wide.pk).update(template=template)
        for administration in (small, wide):
            Assignment.objects.create(
                **tenant_keys, administration=administration, membership_id=daan.membership_id
            )
            Assignment.objects.create(
                **tenant_keys, administration=administration, membership_id=eva.membership_id, automatic=True
            )
    set_preferences(daan, "sync_failing", email="none")
    names = {
        administration.pk: {"name": administration.name, "reason": "no answer"}
        for administration in (quiet, small, wide)
    }
    open_test_event(firm.ben, "sync_failing", "connection 1", administrations=names)
    pass_quarter_hour(firm.ben)
    assert "Klein, Ruim" in screen_messages(firm.ben)[0]
    assert "Stil" not in screen_messages(firm.ben)[0], "its settings tell nobody"
    for person in (daan, firm.cleo):
        assert "Ruim" in screen_messages(person)[0], "the template names these"
        assert "Klein" not in screen_messages(person)[0]
    assert (mails(daan), mails(firm.cleo)) == ([], ["waiting"]), "who silenced mail has silenced it"
    assert screen_messages(eva) == screen_messages(firm.anna) == [], (
        "being assigned by default subscribes nobody"
    )


def test_events_disabled_by_the_organisation_are_not_sent(firm: Firm) -> None:
    administration = administration_of(firm.anna, "Stil")
    with organisation_scope(administration.organisation_id):
        Organisation.objects.update(settings={"notify": {"sync_failing": "nobody"}})
        Administration.objects.update(settings={"notify": {"sync_failing": "division"}})
    open_test_event(
        firm.ben,
        "sync_failing",
        administrations={administration.pk: {"name": administration.name, "reason": "x"}},
    )
    pass_quarter_hour(firm.ben)
    assert screen_messages(firm.ben) == screen_messages(firm.anna) == []
    set_preferences(firm.anna, "sync_failing", screen="all")
    close_test_event(firm.ben, "sync_failing")
    open_test_event(
        firm.ben,
        "sync_failing",
        administrations={administration.pk: {"name": administration.name, "reason": "x"}},
    )
    pass_quarter_hour(firm.ben)
    assert len(screen_messages(firm.anna)) == 1, "who asked is told anyway"


def test_erasing_an_administration_keeps_notifications_of_similar_names(
    actor: Any,
) -> None:
    anna = actor("administrator", name="Anna")
    short, long = administration_of(anna, "Bakker"), administration_of(anna, "Bakker Noord")
    with organisation_scope(anna.organisation_id):
        piet = actor("user", organisation=Organisation.objects.get(), name="Piet")
    assign(piet, long)
    set_preferences(piet, NEWS, screen="all")
    open_test_event(anna, NEWS, administrations={one.pk: {"name": one.name} for one in (short, long)})
    assert screen_messages(piet) == ["News of Bakker Noord"]
    with organisation_scope(anna.organisation_id):
        erase_administration(anna.organisation_id, short.pk)
    assert screen_messages(piet) == ["News of Bakker Noord"]
    assert screen_messages(anna) == ["News of Bakker Noord"]


def test_an_event_that_fails_does_not_block_others(firm: Firm, actor: Any) -> None:
    """A fault of ours at one event: neither its firm's other news nor the firms after it wait for a new
    version.
    """

    def breaks(_organisation_id: int, _member: int, administrations: Collection[int]) -> dict[int, None]:
        if 2 in administrations:
            raise KeyError("a fault of ours")
        return {}

    other = actor("administrator", name="Zoë")
    for admin in (firm.anna, other):
        open_test_event(admin, TROUBLE, "broken", administrations=administration_payload(2))
        open_test_event(admin, TROUBLE, "good", administrations=administration_payload(1))
        with organisation_scope(admin.organisation_id):
            Event.objects.filter(key="broken 1").update(due_at=timezone.now() - timedelta(hours=2))
            Event.objects.filter(key="good 1").update(due_at=timezone.now() - timedelta(hours=1))
    with fallback_recipients.only(breaks):
        asyncio.run(run_maintenance(timestamp=0))
    assert [screen_messages(admin) for admin in (firm.anna, other)] == [
        ["Trouble at Company 1: no answer"]
    ] * 2
    with organisation_scope(firm.anna.organisation_id):
        assert Event.objects.get(key="broken 1").state == "pending", "it is told once the fault is put right"
