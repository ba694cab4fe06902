"""The dashboard answers four questions, and every number leads to the list behind it."""

import re
from datetime import timedelta
from html import unescape
from typing import Any

from django.utils import timezone

from koppel.administrations.models import Administration, Assignment
from koppel.kit.tenancy import organisation_scope
from koppel.sync.models import Change, Run
from tests.administrations.firm import firm_of
from tests.administrations.test_bulk import colleague
from tests.administrations.test_list import browser_of

LINKED = re.compile(r'<a href="(/administrations/\?[^"]+)">([\d,]+)(?:<|$)')


def test_every_number_is_the_length_of_the_list_behind_it(actor: Any) -> None:
    boss = actor("administrator")
    user = colleague(actor, boss, "user", "Anna Smit")
    firm = firm_of(boss, 120, [user.membership_id, boss.membership_id, user.membership_id])
    with organisation_scope(boss.organisation_id):
        own = {"organisation_id": boss.organisation_id}
        for number, one in enumerate(firm.ids[:5]):
            run = Run.objects.create(**own, administration_id=one, trigger="import" if number else "schedule")
            changes = [
                Change(
                    **own, administration_id=one, run_id=run.pk, resource="accounts", external_id=str(each),
                    kind=("added", "changed", "deleted")[each % 3], at=timezone.now(),
                )
                for each in range(number + 1)
            ]  # fmt: skip
            Change.objects.bulk_create(changes)
        old = timezone.now() - timedelta(days=2)
        Change.objects.create(
            **own, administration_id=firm.ids[9], run_id=1, resource="accounts", external_id="1", kind="added", at=old
        )
        Assignment.objects.filter(administration_id=firm.ids[0], automatic=False).delete()
    for person in (boss, user):
        browser = browser_of(person)
        page = browser.get("/").content.decode()
        linked = [(unescape(address), int(figure.replace(",", ""))) for address, figure in LINKED.findall(page)]
        assert len(linked) >= 8
        for address, figure in linked:
            shown = browser.get(address).content.decode()
            counted = re.search(r'<h1>Administrations <span class="hint">([\d,]+)</span>', shown)
            assert counted, address
            assert int(counted[1].replace(",", "")) == figure, f"{address} for {person.role}"
    page = browser_of(boss).get("/").content.decode()
    assert "Anna Smit" in page
    assert "Nobody chosen" in page
    biggest = page.index(name(boss, firm.ids[4]), page.index("What changed since yesterday?"))
    assert biggest < page.index(name(boss, firm.ids[3]), biggest)
    assert "+2" in page


def test_a_reader_sees_nothing_of_others_and_no_connections(actor: Any) -> None:
    boss = actor("administrator")
    reader = colleague(actor, boss, "reader")
    firm_of(boss, 12)
    page = browser_of(reader).get("/").content.decode()
    assert "No administration is assigned to you yet" in page
    assert "B.V." not in page
    assert "Health of connections" not in page
    assert "Health of connections" in browser_of(boss).get("/").content.decode()


def name(boss: Any, administration_id: int) -> str:
    with organisation_scope(boss.organisation_id):
        return Administration.objects.get(pk=administration_id).name
