"""The issue types of syncs."""

from django.urls import reverse
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext_lazy

from koppel.books.read.labels import RESOURCES
from koppel.issues.issue_types import IssueCode, IssueType, Remedy
from koppel.kit.database.json_fields import MessageFacts


class SyncIssue(IssueCode):
    """Problems that a sync finds, and reasons why it stops."""

    ENTRY_UNBALANCED = "entry_unbalanced"
    ENTRY_TOTAL_DIFFERS = "entry_total_differs"
    CLOSED_PERIOD_CHANGED = "closed_period_changed"
    BALANCE_DIFFERS = "balance_differs"
    OPENING_UNBALANCED = "opening_unbalanced"
    RECORDS_REJECTED = "records_rejected"
    SETUP_MISSING = "setup_missing"
    NOT_CONSENTED = "not_consented"
    UNEXPECTED_RESPONSE = "unexpected_response"
    DATABASE_ERRORS = "database_errors"
    SYNC_FAILED = "sync_failed"


def _sync(administration_id: int, _context: MessageFacts) -> str:
    return reverse("sync:overview", args=[administration_id])


def _entry(administration_id: int, context: MessageFacts) -> str:
    return reverse("books:entry", args=[administration_id, context.get("entry", "-")])


def _closed_changes(administration_id: int, context: MessageFacts) -> str:
    return f"{reverse('sync:run', args=[administration_id, int(context.get('run') or 0)])}?closed=1#changes"


def _differences(administration_id: int, context: MessageFacts) -> str:
    url = reverse("books:trial_balance", args=[administration_id])
    return f"{url}?year={context.get('year', '')}&only=differences"


def _trial_balance(administration_id: int, context: MessageFacts) -> str:
    return f"{reverse('books:trial_balance', args=[administration_id])}?year={context.get('year', '')}"


def _start_sync(administration_id: int, _context: MessageFacts) -> str:
    return reverse("sync:now", args=[administration_id])


def _name_resource(context: MessageFacts) -> MessageFacts:
    key = str(context.get("resource", ""))
    return {"resource": str(RESOURCES.get(key, key))}


ISSUE_TYPES = (
    IssueType(
        SyncIssue.ENTRY_UNBALANCED,
        _("Entry %(journal)s %(number)s does not balance: difference %(difference)s."),
        _("Imported unchanged. Correct the entry in %(system)s; the next sync updates it here."),
        _("Show entry"),
        _entry,
        title=_("Entries that do not balance"),
        is_dismissible=True,
    ),
    IssueType(
        SyncIssue.ENTRY_TOTAL_DIFFERS,
        _("Entry %(journal)s %(number)s totals %(total)s in %(system)s, its lines %(sum)s."),
        _("Lines may be missing. Start a full check; if the entry stays like this, check it in %(system)s."),
        _("Show entry"),
        _entry,
        title=_("Entries whose lines are not their total"),
        is_dismissible=True,
    ),
    IssueType(
        SyncIssue.CLOSED_PERIOD_CHANGED,
        ngettext_lazy(
            "%(count)s entry or line of the closed period %(period)s was changed in %(system)s.",
            "%(count)s entries or lines of the closed period %(period)s were changed in %(system)s.",
            "count",
        ),
        _("Reports on this period may no longer be correct. Koppel applied the changes and lists each one."),
        _("Show changes"),
        _closed_changes,
        title=_("Changed closed periods"),
        is_dismissible=True,
    ),
    IssueType(
        SyncIssue.BALANCE_DIFFERS,
        ngettext_lazy(
            "%(count)s account does not match %(system)s for %(year)s: %(accounts)s.",
            "%(count)s accounts do not match %(system)s for %(year)s: %(accounts)s.",
            "count",
        ),
        _(
            "Opening balance and entries do not add up to the closing balances of %(system)s. Koppel runs a "
            "full check, which also finds deleted records. The trial balance lists the differences."
        ),
        _("Show differences"),
        _differences,
        remedy=Remedy(_("Run full check"), _start_sync, {"full": "1"}),
        title=_("Balances that do not match"),
        is_dismissible=True,
    ),
    IssueType(
        SyncIssue.OPENING_UNBALANCED,
        _("The opening balances of %(year)s in %(system)s do not add up to zero: %(difference)s."),
        _(
            "An account is missing, or its opening balance is wrong. Correct this in %(system)s; the next "
            "sync updates it here."
        ),
        _("Show trial balance"),
        _trial_balance,
        title=_("Opening balances that do not add up"),
        is_dismissible=True,
    ),
    IssueType(
        SyncIssue.RECORDS_REJECTED,
        ngettext_lazy(
            "%(resource)s: %(count)s record could not be read: %(reason)s",
            "%(resource)s: %(count)s records could not be read. The first: %(reason)s",
            "count",
        ),
        _(
            "All other records were synced. Koppel keeps these records as evidence and retries at "
            "the next sync."
        ),
        _("Show sync"),
        _sync,
        _name_resource,
        title=_("Records that could not be read"),
        is_dismissible=True,
    ),
    IssueType(
        SyncIssue.SETUP_MISSING,
        _("The accounting system refuses access: %(reason)s"),
        _("Change this there, then retry."),
        _("Show sync"),
        _sync,
        remedy=Remedy(_("Retry"), _start_sync, {}),
        title=_("Access refused"),
        stops_sync=True,
    ),
    IssueType(
        SyncIssue.NOT_CONSENTED,
        _("Koppel has no access to this company: %(reason)s"),
        _("Give access there, then retry."),
        _("Show sync"),
        _sync,
        remedy=Remedy(_("Retry"), _start_sync, {}),
        title=_("No access to the company"),
        stops_sync=True,
    ),
    IssueType(
        SyncIssue.UNEXPECTED_RESPONSE,
        _("Unexpected answer from the accounting system: %(reason)s"),
        _("Contact Koppel's developers. Data synced so far is kept."),
        _("Show sync"),
        _sync,
        remedy=Remedy(_("Retry"), _start_sync, {}),
        title=_("Unexpected answers"),
        stops_sync=True,
    ),
    IssueType(
        SyncIssue.DATABASE_ERRORS,
        _("Koppel's own database returns errors (%(code)s), so this administration is not synced."),
        _("Koppel resumes automatically when the database works again. The cause is in the worker's log."),
        _("Show sync"),
        _sync,
        title=_("Database errors"),
        stops_sync=True,
    ),
    IssueType(
        SyncIssue.SYNC_FAILED,
        _("The sync failed: %(reason)s"),
        _("Data synced so far is kept."),
        _("Show sync"),
        _sync,
        remedy=Remedy(_("Retry"), _start_sync, {}),
        title=_("Failed syncs"),
        stops_sync=True,
    ),
)
