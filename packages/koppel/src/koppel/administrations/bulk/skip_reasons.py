"""Reasons why a bulk action leaves an administration unchanged."""

from collections.abc import Mapping

from django.db import models
from django.utils.translation import gettext_lazy as _

from koppel.company_registers.numbers import NumberNote
from koppel.kit import quarantine


class BulkReason(models.TextChoices):
    """Base of the reasons; the value is the stored code, the label the sentence."""


class CommonReason(BulkReason):
    """Reasons that any action may give; an action has its own in `BulkAction.reasons`."""

    NOT_FOUND = "not_found", _("Not found, or you have no access.")
    UNCHANGED = "unchanged", _("Already set.")
    CLIENT_LEFT = "client_left", _("The client left.")
    BEING_IMPORTED = "being_imported", _("Import in progress.")
    DEACTIVATED = "deactivated", _("Deactivated.")
    ARCHIVED = "archived", _("That division or template is archived.")
    LAST_MEMBER = "last_member", _("A restricted administration needs at least one user.")
    NOT_ALLOWED = "not_allowed", _("Your role no longer allowed this.")
    CHANGED_SINCE = "changed_since", _("Changed by another user since.")
    NUMBER_VAT_NUMBER = "number_vat_number", _("This is a VAT number.")
    NUMBER_BRANCH_NUMBER = "number_branch_number", _("This is a branch number.")
    NUMBER_RSIN = "number_rsin", _("This is an RSIN.")
    NUMBER_FORMAT = "number_format", _("Not a valid number for this country.")
    HAS_NUMBER = "has_number", _("A company with a number needs no reason.")
    NEEDS_SECTOR = "needs_sector", _("Without a number, a reason and a sector are required.")
    OTHER_COMPANY = (
        "other_company",
        _("The register has a different name for this number. Confirm it on the administration's page."),
    )
    NUMBER_DATE = "number_date", _("This is a date, not a number.")
    NUMBER_DUMMY = "number_dummy", _("This is a made-up number.")
    NUMBER_EMPTY = "number_empty", _("Enter a number.")
    QUARANTINED = quarantine.CODE, quarantine.SENTENCE


NUMBER_REASONS: Mapping[str, CommonReason] = {
    NumberNote.VAT_NUMBER: CommonReason.NUMBER_VAT_NUMBER,
    NumberNote.BRANCH_NUMBER: CommonReason.NUMBER_BRANCH_NUMBER,
    NumberNote.RSIN: CommonReason.NUMBER_RSIN,
    NumberNote.FORMAT: CommonReason.NUMBER_FORMAT,
    NumberNote.DATE: CommonReason.NUMBER_DATE,
    NumberNote.DUMMY: CommonReason.NUMBER_DUMMY,
    NumberNote.EMPTY: CommonReason.NUMBER_EMPTY,
}
"""The reason by the note of an invalid number."""
