"""Administrations that a colleague assigns are reported to the person, once per change."""

from typing import Any

from koppel.administrations import bulk
from koppel.kit.tenancy import organisation_scope
from koppel.notifications.models import Notification
from koppel.organisations.models import Organisation
from tests.books.factories import administration_of


def test_one_change_is_one_notification_and_none_for_oneself(actor: Any) -> None:
    anna = actor("administrator", name="Anna")
    with organisation_scope(anna.organisation_id):
        firm = Organisation.objects.get(pk=anna.organisation_id)
    piet = actor("team_leader", organisation=firm, name="Piet")
    ids = [administration_of(anna, name).pk for name in ("Bakkerij X", "Slagerij Y")]
    with organisation_scope(anna.organisation_id):
        params = {"add": [piet.membership_id, anna.membership_id]}
        draft = bulk.preview(anna, "change", params, bulk.Selection(ids=ids))
        bulk.start_operation(anna, draft.pk)
        recipients = list(
            Notification.objects.filter(event__event_type="administrations_assigned").values_list(
                "membership_id", "event__context__count"
            )
        )
        text = bulk.describe_assignments(anna, draft.pk)
    assert recipients == [(piet.membership_id, 2)]
    assert text == "Assigned: users to 2 administrations."
