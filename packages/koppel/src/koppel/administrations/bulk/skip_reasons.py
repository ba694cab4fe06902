"""Why a bulk action leaves an administration as it is."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from koppel.kit import quarantine


class BulkReason(models.TextChoices):
    """Base of the reasons; the value is the stored code, the label the sentence."""


class CommonReason(BulkReason):
    """Reasons that any action may give; an action has its own in `BulkAction.reasons`."""

    NOT_FOUND = "not_found", _("Does not exist, or you may not see it.")
    UNCHANGED = "unchanged", _("Is so already.")
    CLIENT_LEFT = "client_left", _("The client left.")
    BEING_IMPORTED = "being_imported", _("Is still being imported.")
    DEACTIVATED = "deactivated", _("Is deactivated.")
    ARCHIVED = "archived", _("That division or template is archived.")
    LAST_MEMBER = "last_member", _("Restricted: somebody must stay named on it.")
    NOT_ALLOWED = "not_allowed", _("Your role no longer allowed it.")
    CHANGED_SINCE = "changed_since", _("Somebody changed it since.")
    NUMBER_VAT_NUMBER = "number_vat_number", _("This is a VAT number.")
    NUMBER_BRANCH_NUMBER = "number_branch_number", _("This is a branch number.")
    NUMBER_RSIN = "number_rsin", _("This is an RSIN.")
    NUMBER_FORMAT = "number_format", _("Not a number of this country.")
    HAS_NUMBER = "has_number", _("It has a number, so it needs no reason.")
    NEEDS_SECTOR = "needs_sector", _("Without a number it needs a reason and a sector.")
    OTHER_COMPANY = (
        "other_company",
        _("The register knows this number by another name. Confirm it on the page of this one."),
    )
    NUMBER_DUMMY = "number_dummy", _("This is a made-up number.")
    NUMBER_EMPTY = "number_empty", _("The number is empty.")
    QUARANTINED = quarantine.CODE, quarantine.SENTENCE
