"""Previews that nobody starts have a limit; the oldest abandoned ones make room."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from koppel.administrations.bulk import Selection, operations
from koppel.administrations.models import BulkItem, BulkOperation
from koppel.kit.tenancy import organisation_scope
from koppel.organisations.errors import Refused
from tests.administrations.factories import create_firm


def test_a_person_has_a_limited_number_of_previews(actor: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    firm = create_firm(actor("administrator"), 2)
    monkeypatch.setattr(operations, "DRAFTS_OF_MEMBER_MAX", 3)

    def preview() -> int:
        draft = operations.preview(firm.admin, "add_favourite", {}, Selection(ids=firm.ids))
        return int(draft.pk)

    with organisation_scope(firm.admin.organisation_id):
        first, second, third = preview(), preview(), preview()
        with pytest.raises(Refused, match="There are 3 previews that were not started"):
            preview()
        an_hour_ago = timezone.now() - timedelta(minutes=61)
        BulkOperation.objects.filter(pk__in=[first, second]).update(created_at=an_hour_ago)
        fourth = preview()
        assert set(BulkOperation.objects.values_list("pk", flat=True)) == {second, third, fourth}
        assert not BulkItem.objects.filter(operation_id=first).exists()
        assert operations.start_operation(firm.admin, third)
        preview()


def test_an_organisation_has_a_limited_number_of_previews(
    actor: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    firm = create_firm(actor("administrator"), 2)
    monkeypatch.setattr(operations, "DRAFTS_OF_ORGANISATION_MAX", 1)
    with organisation_scope(firm.admin.organisation_id):
        operations.preview(firm.admin, "add_favourite", {}, Selection(ids=firm.ids))
        with pytest.raises(Refused, match="There are 1 previews"):
            operations.preview(firm.admin, "add_favourite", {}, Selection(ids=firm.ids))
