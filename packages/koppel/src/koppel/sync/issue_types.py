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
    YEARS_NOT_JOINED = "years_not_joined"
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
        code=SyncIssue.ENTRY_UNBALANCED,
        message=_("Entry %(journal)s %(number)s does not balance: difference %(difference)s."),
        advice=_("Imported unchanged. Correct the entry in %(system)s; the next sync updates it here."),
        button=_("Show entry"),
        link=_entry,
        title=_("Entries that do not balance"),
        is_dismissible=True,
    ),
    IssueType(
        code=SyncIssue.ENTRY_TOTAL_DIFFERS,
        message=_("Entry %(journal)s %(number)s totals %(total)s in %(system)s, its lines %(sum)s."),
        advice=_(
            "Lines may be missing. Start a full check; if the entry stays like this, check it in %(system)s."
        ),
        button=_("Show entry"),
        link=_entry,
        title=_("Entries whose lines are not their total"),
        is_dismissible=True,
    ),
    IssueType(
        code=SyncIssue.CLOSED_PERIOD_CHANGED,
        message=ngettext_lazy(
            "%(count)s entry or line of the closed period %(period)s was changed in %(system)s.",
            "%(count)s entries or lines of the closed period %(period)s were changed in %(system)s.",
            "count",
        ),
        advice=_(
            "Reports on this period may no longer be correct. Koppel applied the changes and lists each one."
        ),
        button=_("Show changes"),
        link=_closed_changes,
        title=_("Changed closed periods"),
        is_dismissible=True,
    ),
    IssueType(
        code=SyncIssue.BALANCE_DIFFERS,
        message=ngettext_lazy(
            "%(count)s account does not match %(system)s for %(year)s: %(accounts)s.",
            "%(count)s accounts do not match %(system)s for %(year)s: %(accounts)s.",
            "count",
        ),
        advice=_(
            "Opening balance and entries do not add up to the closing balances of %(system)s. Koppel runs a "
            "full check, which also finds deleted records. The trial balance lists the differences."
        ),
        button=_("Show differences"),
        link=_differences,
        remedy=Remedy(label=_("Run full check"), url=_start_sync, fields={"full": "1"}),
        title=_("Balances that do not match"),
        is_dismissible=True,
    ),
    IssueType(
        code=SyncIssue.OPENING_UNBALANCED,
        message=_("The opening balances of %(year)s in %(system)s do not add up to zero: %(difference)s."),
        advice=_(
            "An account is missing, or its opening balance is wrong. Correct this in %(system)s; the next "
            "sync updates it here."
        ),
        button=_("Show trial balance"),
        link=_trial_balance,
        title=_("Opening balances that do not add up"),
        is_dismissible=True,
    ),
    IssueType(
        code=SyncIssue.YEARS_NOT_JOINED,
        message=ngettext_lazy(
            "%(count)s account opens %(year)s in %(system)s with another balance than it closed %(before)s "
            "with: %(accounts)s.",
            "%(count)s accounts open %(year)s in %(system)s with other balances than they closed %(before)s "
            "with: %(accounts)s.",
            "count",
        ),
        advice=_(
            "%(before)s may have changed after its balances were carried forward, or an opening balance is "
            "wrong. The result that equity took is not part of this. Correct this in %(system)s; the next "
            "sync updates it here."
        ),
        button=_("Show trial balance"),
        link=_trial_balance,
        remedy=Remedy(label=_("Run full check"), url=_start_sync, fields={"full": "1"}),
        title=_("Years that do not join"),
        is_dismissible=True,
    ),
    IssueType(
        code=SyncIssue.RECORDS_REJECTED,
        message=ngettext_lazy(
            "%(resource)s: %(count)s record could not be read: %(reason)s",
            "%(resource)s: %(count)s records could not be read. The first: %(reason)s",
            "count",
        ),
        advice=_(
            "All other records were synced. Koppel keeps these records as evidence and retries at "
            "the next sync."
        ),
        button=_("Show sync"),
        link=_sync,
        localize=_name_resource,
        title=_("Records that could not be read"),
        is_dismissible=True,
    ),
    IssueType(
        code=SyncIssue.SETUP_MISSING,
        message=_("The accounting system refuses access: %(reason)s"),
        advice=_("Change this there, then retry."),
        button=_("Show sync"),
        link=_sync,
        remedy=Remedy(label=_("Retry"), url=_start_sync, fields={}),
        title=_("Access refused"),
        stops_sync=True,
    ),
    IssueType(
        code=SyncIssue.NOT_CONSENTED,
        message=_("Koppel has no access to this company: %(reason)s"),
        advice=_("Give access there, then retry."),
        button=_("Show sync"),
        link=_sync,
        remedy=Remedy(label=_("Retry"), url=_start_sync, fields={}),
        title=_("No access to the company"),
        stops_sync=True,
    ),
    IssueType(
        code=SyncIssue.UNEXPECTED_RESPONSE,
        message=_("Unexpected answer from the accounting system: %(reason)s"),
        advice=_("Contact Koppel's developers. Data synced so far is kept."),
        button=_("Show sync"),
        link=_sync,
        remedy=Remedy(label=_("Retry"), url=_start_sync, fields={}),
        title=_("Unexpected answers"),
        stops_sync=True,
    ),
    IssueType(
        code=SyncIssue.DATABASE_ERRORS,
        message=_("Koppel's own database returns errors (%(code)s), so this administration is not synced."),
        advice=_(
            "Koppel resumes automatically when the database works again. The cause is in the worker's log."
        ),
        button=_("Show sync"),
        link=_sync,
        title=_("Database errors"),
        stops_sync=True,
    ),
    IssueType(
        code=SyncIssue.SYNC_FAILED,
        message=_("The sync failed: %(reason)s"),
        advice=_("Data synced so far is kept."),
        button=_("Show sync"),
        link=_sync,
        remedy=Remedy(label=_("Retry"), url=_start_sync, fields={}),
        title=_("Failed syncs"),
        stops_sync=True,
    ),
)
