"""Issue types of administrations."""

from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from koppel.issues.issue_types import IssueCode, IssueType
from koppel.kit.database.json_fields import MessageFacts


class AdministrationIssue(IssueCode):
    """Issues of an administration's identity."""

    COMPANY_CLOSED = "company_closed"
    LEGAL_NAME_CHANGED = "legal_name_changed"
    IDENTITY_INCOMPLETE = "identity_incomplete"
    NUMBER_SHARED = "number_shared"
    REGISTER_NAME_DIFFERS = "register_name_differs"


def _page(administration_id: int, _facts: MessageFacts) -> str:
    return reverse("administrations:identity", args=[administration_id])


def _overview(administration_id: int, _facts: MessageFacts) -> str:
    return reverse("administrations:detail", args=[administration_id])


ISSUE_TYPES = (
    IssueType(
        code=AdministrationIssue.COMPANY_CLOSED,
        message=_("According to the register, the company was closed on %(closed_on)s."),
        advice=_(
            "Is this still a client? If not, deactivate the administration or mark the client as "
            "left. If so, correct the number."
        ),
        button=_("View"),
        link=_page,
        title=_("Deregistered companies"),
        is_dismissible=True,
    ),
    IssueType(
        code=AdministrationIssue.LEGAL_NAME_CHANGED,
        message=_("In the register, %(old)s is now called %(new)s."),
        advice=_("Change the name in the accounting system as well."),
        button=_("View"),
        link=_page,
        title=_("Names that differ from the register"),
        is_dismissible=True,
    ),
    IssueType(
        code=AdministrationIssue.IDENTITY_INCOMPLETE,
        message=_("The company is unknown."),
        advice=_("Enter a number, or choose a reason and a sector."),
        button=_("Complete details"),
        link=_page,
        title=_("Incomplete company details"),
    ),
    IssueType(
        code=AdministrationIssue.REGISTER_NAME_DIFFERS,
        message=_("In the register, the number of %(name)s belongs to “%(register)s”."),
        advice=_("Is this the same company? If so, confirm it. If not, correct the number."),
        button=_("View"),
        link=_page,
        title=_("Same company?"),
    ),
    IssueType(
        code=AdministrationIssue.NUMBER_SHARED,
        message=_("Another administration has the same number."),
        advice=_(
            "One company may keep several administrations: dismiss this issue. If one continues the other, "
            "link them. If the number is wrong, correct it."
        ),
        button=_("View"),
        link=_overview,
        title=_("Same number twice"),
        is_dismissible=True,
    ),
)
