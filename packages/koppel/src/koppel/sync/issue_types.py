"""The words and buttons of what a sync finds."""

from collections.abc import Mapping
from typing import Any

from django.urls import reverse
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext_lazy

from koppel.issues.issue_types import IssueType


def _sync(administration_id: int, _context: Mapping[str, Any]) -> str:
    return reverse("sync:overview", args=[administration_id])


def _entry(administration_id: int, context: Mapping[str, Any]) -> str:
    return reverse("books:entry", args=[administration_id, context.get("entry", "-")])


def _closed_changes(administration_id: int, context: Mapping[str, Any]) -> str:
    return f"{reverse('sync:run', args=[administration_id, int(context.get('run', 0))])}?closed=1#changes"


def _differences(administration_id: int, context: Mapping[str, Any]) -> str:
    return f"{reverse('books:trial_balance', args=[administration_id])}?year={context.get('year', '')}&only=differences"


ISSUE_TYPES = {
    "entry_unbalanced": IssueType(
        _("Entry %(number)s does not balance: debit and credit differ by %(difference)s."),
        _("It was imported as it is. Correct it in the accounting system; the next sync takes the correction over."),
        _("Show the entry"),
        _entry,
    ),
    "closed_period_changed": IssueType(
        _("%(count)s entries or lines of the closed period %(period)s were changed at the source."),
        _("What was reported on this period may no longer be right. Koppel took the changes over and lists each."),
        _("Show the changes"),
        _closed_changes,
    ),
    "balance_differs": IssueType(
        ngettext_lazy(
            "%(count)s account differs from the closing balance that the source states for %(year)s: %(accounts)s.",
            "%(count)s accounts differ from the closing balance that the source states for %(year)s: %(accounts)s.",
            "count",
        ),
        _(
            "Opening balance and entries do not add up to what the accounting system says. The trial balance lists each."
        ),
        _("Show the differences"),
        _differences,
    ),
    "records_rejected": IssueType(
        _("%(count)s records of %(resource)s could not be understood. The first: %(reason)s"),
        _("All others were read. Koppel keeps the records as evidence and tries again at the next sync."),
        _("Show the sync"),
        _sync,
    ),
    "setup_missing": IssueType(
        _("The accounting system does not let Koppel in: %(reason)s"),
        _("Change it there, then retry."),
        _("Retry"),
        _sync,
    ),
    "not_consented": IssueType(
        _("Koppel may not read this company: %(reason)s"), _("Give access there, then retry."), _("Retry"), _sync
    ),
    "unexpected_response": IssueType(
        _("The accounting system answered something unexpected: %(reason)s"),
        _("This is for Koppel's developers. What was read so far is kept."),
        _("Retry"),
        _sync,
    ),
    "database_errors": IssueType(
        _("Koppel's own database answers with errors (%(code)s), so this administration is not synced."),
        _(
            "Koppel goes on by itself as soon as the database is well. Whoever runs Koppel finds the cause in the worker's log."
        ),
        _("Show the sync"),
        _sync,
    ),
    "sync_failed": IssueType(_("The sync failed: %(reason)s"), _("What was read so far is kept."), _("Retry"), _sync),
}
