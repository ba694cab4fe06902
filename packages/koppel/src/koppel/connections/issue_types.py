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
        ConnectionIssue.CONSENT_LOST,
        LOST,
        _("Syncing is paused and no data is lost. It resumes where it stopped after you sign in."),
        _("Sign in again"),
        _own_url,
        title=_("Connections that need sign-in"),
        stops_sync=True,
    ),
    IssueType(
        ConnectionIssue.CONSENT_PARTLY_LOST,
        PARTLY_LOST,
        _("Other administrations of this connection are not affected."),
        _("Sign in again"),
        _own_url,
        title=_("Connections that partly need sign-in"),
        stops_sync=True,
        resolve=resolve_company_names,
    ),
    IssueType(
        ConnectionIssue.CONSENT_EXPIRING,
        EXPIRING,
        "",
        _("Sign in again"),
        _own_url,
        title=_("Consents that end soon"),
    ),
    IssueType(
        ConnectionIssue.OWNER_LEFT,
        _("The connection of %(account)s uses the account of %(owner)s, whose access was revoked."),
        _(
            "It works until that account is closed in the accounting system. Transfer ownership to a "
            "colleague."
        ),
        _("Choose a new owner"),
        _own_url,
        title=_("Connections whose owner left"),
    ),
    IssueType(
        ConnectionIssue.VENDOR_UNRESPONSIVE,
        _("The accounting system has not responded for %(account)s for more than a day: %(reason)s"),
        _("Koppel keeps trying. Check the vendor's status page or contact its support."),
        _("Show connection"),
        _own_url,
        title=_("Accounting system not responding"),
        remedy=Remedy(_("Test connection"), _probe_url, {}),
        stops_sync=True,
    ),
    IssueType(
        ConnectionIssue.COMPANY_UNLISTED,
        _("The sign-in of %(account)s no longer reaches %(name)s."),
        _("The company was closed, or the user lost access. Synced books remain available."),
        _("Show connection"),
        _company_url,
        title=_("Companies no longer reached"),
        stops_sync=True,
    ),
    IssueType(
        ConnectionIssue.COMPANY_RENAMED,
        _("%(old)s was renamed to %(new)s in the accounting system."),
        _("Syncing continues."),
        _("Review name"),
        _company_url,
        title=_("Renamed companies"),
    ),
    IssueType(
        ConnectionIssue.COMPANY_CODE_CHANGED,
        _("%(name)s has a new code in the accounting system: %(new)s instead of %(old)s."),
        _("Syncing continues."),
        _("Review code"),
        _company_url,
        title=_("Companies with a new code"),
    ),
    IssueType(
        ConnectionIssue.COMPANY_NUMBER_CHANGED,
        _("%(name)s has a new number in the accounting system: %(new)s instead of %(old)s."),
        _("Syncing continues."),
        _("Review number"),
        _company_url,
        title=_("Companies with a new number"),
    ),
    IssueType(
        ConnectionIssue.COMPANY_NUMBER_MISSING,
        _(
            "The accounting system no longer has a number for %(name)s; it was %(old)s. Is it still "
            "the same company?"
        ),
        _("Syncing continues."),
        _("Review number"),
        _company_url,
        title=_("Companies without a number"),
    ),
    IssueType(
        ConnectionIssue.OTHER_COMPANY,
        _(
            "Is this the same company? Confirmed as %(old)s (%(old_number)s); in the accounting "
            "system now %(new)s (%(new_number)s)."
        ),
        _("Syncing is stopped until you decide."),
        _("Decide"),
        _same_company_url,
        title=_("Possibly another company"),
        stops_sync=True,
    ),
    IssueType(
        ConnectionIssue.OTHER_COMPANY_CONFIRMED,
        _(
            "A different company was found in the accounting system: %(new)s (%(new_number)s) "
            "instead of %(old)s (%(old_number)s)."
        ),
        _(
            "Deactivate this administration, or sign in again with an account that reaches the right "
            "company. To import the other company as a new administration, withdraw this one first."
        ),
        _("Show connection"),
        _same_company_url,
        title=_("Another company found"),
        stops_sync=True,
    ),
)
