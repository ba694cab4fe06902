"""The issue types of syncs."""

from django.urls import reverse
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext_lazy

from koppel.issues.issue_types import IssueCode, IssueType
from koppel.kit.database.json_fields import MessageFacts


class SyncIssue(IssueCode):
    """Problems that a sync finds, and reasons why it stops."""

    ENTRY_UNBALANCED = "entry_unbalanced"
    CLOSED_PERIOD_CHANGED = "closed_period_changed"
    BALANCE_DIFFERS = "balance_differs"
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


ISSUE_TYPES = (
    IssueType(
        SyncIssue.ENTRY_UNBALANCED,
        _("Entry %(number)s does not balance: debit and credit differ by %(difference)s."),
        _(
            "It was imported as it is. Correct it in the accounting system; "
            "the next sync takes the correction over."
        ),
        _("Show the entry"),
        _entry,
    ),
    IssueType(
        SyncIssue.CLOSED_PERIOD_CHANGED,
        _("%(count)s entries or lines of the closed period %(period)s were changed at the source."),
        _(
            "What was reported on this period may no longer be right. "
            "Koppel took the changes over and lists each."
        ),
        _("Show the changes"),
        _closed_changes,
    ),
    IssueType(
        SyncIssue.BALANCE_DIFFERS,
        ngettext_lazy(
            "%(count)s account differs from the closing balance that the source states for %(year)s: "
            "%(accounts)s.",
            "%(count)s accounts differ from the closing balance that the source states for %(year)s: "
            "%(accounts)s.",
            "count",
        ),
        _(
            "Opening balance and entries do not add up to what the accounting system says. "
            "The trial balance lists each."
        ),
        _("Show the differences"),
        _differences,
    ),
    IssueType(
        SyncIssue.RECORDS_REJECTED,
        _("%(count)s records of %(resource)s could not be understood. The first: %(reason)s"),
        _("All others were read. Koppel keeps the records as evidence and tries again at the next sync."),
        _("Show the sync"),
        _sync,
    ),
    IssueType(
        SyncIssue.SETUP_MISSING,
        _("The accounting system does not let Koppel in: %(reason)s"),
        _("Change it there, then retry."),
        _("Retry"),
        _sync,
    ),
    IssueType(
        SyncIssue.NOT_CONSENTED,
        _("Koppel may not read this company: %(reason)s"),
        _("Give access there, then retry."),
        _("Retry"),
        _sync,
    ),
    IssueType(
        SyncIssue.UNEXPECTED_RESPONSE,
        _("The accounting system answered something unexpected: %(reason)s"),
        _("This is for Koppel's developers. What was read so far is kept."),
        _("Retry"),
        _sync,
    ),
    IssueType(
        SyncIssue.DATABASE_ERRORS,
        _("Koppel's own database answers with errors (%(code)s), so this administration is not synced."),
        _(
            "Koppel goes on by itself as soon as the database is well. "
            "Whoever runs Koppel finds the cause in the worker's log."
        ),
        _("Show the sync"),
        _sync,
    ),
    IssueType(
        SyncIssue.SYNC_FAILED,
        _("The sync failed: %(reason)s"),
        _("What was read so far is kept."),
        _("Retry"),
        _sync,
    ),
)
