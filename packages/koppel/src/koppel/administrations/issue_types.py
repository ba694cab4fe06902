"""The words and buttons of this app's issues."""

from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from koppel.issues.issue_types import IssueCode, IssueType
from koppel.kit.database.json_fields import MessageFacts


class AdministrationIssue(IssueCode):
    """Issues of an administration's identity."""

    COMPANY_CLOSED = "company_closed"
    LEGAL_NAME_CHANGED = "legal_name_changed"
    IDENTITY_INCOMPLETE = "identity_incomplete"


def _page(administration_id: int, _facts: MessageFacts) -> str:
    return reverse("administrations:identity", args=[administration_id])


ISSUE_TYPES = (
    IssueType(
        AdministrationIssue.COMPANY_CLOSED,
        _("%(name)s was closed according to the register (%(closed_on)s)."),
        _("Is it a client still? Deactivate it, note that the client left, or correct its number."),
        _("Look at it"),
        _page,
    ),
    IssueType(
        AdministrationIssue.LEGAL_NAME_CHANGED,
        _("The register calls %(old)s %(new)s now."),
        _("Change the name in the accounting system too."),
        _("Look at it"),
        _page,
    ),
    IssueType(
        AdministrationIssue.IDENTITY_INCOMPLETE,
        _("It is not known which company this is."),
        _("Enter its number, or choose a reason and a sector."),
        _("Complete it"),
        _page,
    ),
)
