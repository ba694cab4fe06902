"""The issue types of connections."""

from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from koppel.connections.readable_names import resolve_company_names
from koppel.issues.issue_types import IssueCode, IssueType, Remedy
from koppel.kit.database.json_fields import MessageFacts

LOST = _("The connection of %(account)s needs you to sign in again: %(reason)s")
PARTLY_LOST = _(
    "Part of the connection of %(account)s needs you to sign in again (%(companies)s): %(reason)s"
)
EXPIRING = _("The consent of %(account)s ends on %(day)s. Sign in again before then to keep syncing.")


class ConnectionIssue(IssueCode):
    """Issues of connections and of the companies that they reach."""

    CONSENT_LOST = "consent_lost"
    CONSENT_PARTLY_LOST = "consent_partly_lost"
    CONSENT_EXPIRING = "consent_expiring"
    OWNER_LEFT = "owner_left"
    VENDOR_UNRESPONSIVE = "vendor_unresponsive"
    COMPANY_UNLISTED = "company_unlisted"
    COMPANY_RENAMED = "company_renamed"
    COMPANY_CODE_CHANGED = "company_code_changed"
    COMPANY_NUMBER_CHANGED = "company_number_changed"
    COMPANY_NUMBER_MISSING = "company_number_missing"
    OTHER_COMPANY = "other_company"
    OTHER_COMPANY_CONFIRMED = "other_company_confirmed"


def _own_url(connection_id: int, _context: MessageFacts) -> str:
    return reverse("connections:detail", args=[connection_id])


def _company_url(administration_id: int, context: MessageFacts) -> str:
    return f"{_connection_url(context)}#company-{administration_id}"


def _probe_url(connection_id: int, _context: MessageFacts) -> str:
    return reverse("connections:probe", args=[connection_id])


def _same_company_url(_administration_id: int, context: MessageFacts) -> str:
    return f"{_connection_url(context)}#same-company"


def _connection_url(context: MessageFacts) -> str:
    """Return the page of the issue's connection, or of all connections if the issue names none."""
    connection_id = context.get("connection")
    return (
        reverse("connections:detail", args=[connection_id]) if connection_id else reverse("connections:list")
    )


ISSUE_TYPES = (
    IssueType(
        code=ConnectionIssue.CONSENT_LOST,
        message=LOST,
        advice=_("Syncing is paused and no data is lost. It resumes where it stopped after you sign in."),
        button=_("Sign in again"),
        link=_own_url,
        title=_("Connections that need sign-in"),
        stops_sync=True,
    ),
    IssueType(
        code=ConnectionIssue.CONSENT_PARTLY_LOST,
        message=PARTLY_LOST,
        advice=_("Other administrations of this connection are not affected."),
        button=_("Sign in again"),
        link=_own_url,
        title=_("Connections that partly need sign-in"),
        stops_sync=True,
        resolve=resolve_company_names,
    ),
    IssueType(
        code=ConnectionIssue.CONSENT_EXPIRING,
        message=EXPIRING,
        advice="",
        button=_("Sign in again"),
        link=_own_url,
        title=_("Consents that end soon"),
    ),
    IssueType(
        code=ConnectionIssue.OWNER_LEFT,
        message=_("The connection of %(account)s uses the account of %(owner)s, whose access was revoked."),
        advice=_(
            "It works until that account is closed in the accounting system. Transfer ownership to a "
            "colleague."
        ),
        button=_("Choose a new owner"),
        link=_own_url,
        title=_("Connections whose owner left"),
    ),
    IssueType(
        code=ConnectionIssue.VENDOR_UNRESPONSIVE,
        message=_("The accounting system has not responded for %(account)s for more than a day: %(reason)s"),
        advice=_("Koppel keeps trying. Check the vendor's status page or contact its support."),
        button=_("Show connection"),
        link=_own_url,
        title=_("Accounting system not responding"),
        remedy=Remedy(label=_("Test connection"), url=_probe_url, fields={}),
        stops_sync=True,
    ),
    IssueType(
        code=ConnectionIssue.COMPANY_UNLISTED,
        message=_("The sign-in of %(account)s no longer reaches %(name)s."),
        advice=_("The company was closed, or the user lost access. Synced books remain available."),
        button=_("Show connection"),
        link=_company_url,
        title=_("Companies no longer reached"),
        stops_sync=True,
    ),
    IssueType(
        code=ConnectionIssue.COMPANY_RENAMED,
        message=_("%(old)s was renamed to %(new)s in the accounting system."),
        advice=_("Syncing continues."),
        button=_("Review name"),
        link=_company_url,
        title=_("Renamed companies"),
    ),
    IssueType(
        code=ConnectionIssue.COMPANY_CODE_CHANGED,
        message=_("%(name)s has a new code in the accounting system: %(new)s instead of %(old)s."),
        advice=_("Syncing continues."),
        button=_("Review code"),
        link=_company_url,
        title=_("Companies with a new code"),
    ),
    IssueType(
        code=ConnectionIssue.COMPANY_NUMBER_CHANGED,
        message=_("%(name)s has a new number in the accounting system: %(new)s instead of %(old)s."),
        advice=_("Syncing continues."),
        button=_("Review number"),
        link=_company_url,
        title=_("Companies with a new number"),
    ),
    IssueType(
        code=ConnectionIssue.COMPANY_NUMBER_MISSING,
        message=_(
            "The accounting system no longer has a number for %(name)s; it was %(old)s. Is it still "
            "the same company?"
        ),
        advice=_("Syncing continues."),
        button=_("Review number"),
        link=_company_url,
        title=_("Companies without a number"),
    ),
    IssueType(
        code=ConnectionIssue.OTHER_COMPANY,
        message=_(
            "Is this the same company? Confirmed as %(old)s (%(old_number)s); in the accounting "
            "system now %(new)s (%(new_number)s)."
        ),
        advice=_("Syncing is stopped until you decide."),
        button=_("Decide"),
        link=_same_company_url,
        title=_("Possibly another company"),
        stops_sync=True,
    ),
    IssueType(
        code=ConnectionIssue.OTHER_COMPANY_CONFIRMED,
        message=_(
            "A different company was found in the accounting system: %(new)s (%(new_number)s) "
            "instead of %(old)s (%(old_number)s)."
        ),
        advice=_(
            "Deactivate this administration, or sign in again with an account that reaches the right "
            "company. To import the other company as a new administration, withdraw this one first."
        ),
        button=_("Show connection"),
        link=_same_company_url,
        title=_("Another company found"),
        stops_sync=True,
    ),
)
