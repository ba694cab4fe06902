"""Notify of new issues together: an import that raises forty issues causes one notification, without those
resolved since.

Raising an issue adds no work to a sync: new and open issues are collected afterwards.
"""

from collections.abc import Mapping
from datetime import timedelta

from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from koppel.audit.subjects import Subject, SubjectKind
from koppel.issues.hooks import issues_url
from koppel.issues.models import Issue, needs_attention
from koppel.issues.queries import render_issue_message
from koppel.notifications.audience.hooks import SubjectDescription, subject_of
from koppel.notifications.audience.visible_context import count_in
from koppel.notifications.event_types import EventType, NotificationEvent, covered_issue_codes
from koppel.notifications.events.keys import EventKey
from koppel.notifications.events.services import open_event
from koppel.notifications.models import EventContext, EventFacts, IssueReference

SETTLE_TIME = timedelta(minutes=10)
"""Issues resolved within this time are not notified."""
BATCH_SIZE = 2000


def notify_new_issues(organisation_id: int) -> int:
    """Notify each responsible member once about all new issues that did not resolve themselves. Returns how
    many issues. In scope.
    """
    pending = (
        Issue.objects.in_organisation(organisation_id)
        .select_for_update(skip_locked=True)
        .filter(needs_attention(), notified_at=None, raised_at__lt=timezone.now() - SETTLE_TIME)
    )
    issues = list(pending.order_by("raised_at", "pk")[:BATCH_SIZE])
    selected = Issue.objects.in_organisation(organisation_id).filter(pk__in=[issue.pk for issue in issues])
    selected.update(notified_at=timezone.now())
    covered = covered_issue_codes()
    descriptions: dict[Subject, SubjectDescription] = {}
    by_responsible: dict[int | None, list[Issue]] = {}
    for issue in issues:
        # Which recipients may read an issue that compares administrations is known only at reading.
        if issue.code not in covered and "administration_ids" not in issue.context:
            descriptions.setdefault(issue.subject, subject_of(organisation_id, issue.subject))
            by_responsible.setdefault(descriptions[issue.subject].responsible, []).append(issue)
    for responsible, batch in by_responsible.items():
        _open_digest_event(organisation_id, responsible, batch, descriptions)
    return len(issues)


def _open_digest_event(
    organisation_id: int,
    responsible: int | None,
    issues: list[Issue],
    descriptions: Mapping[Subject, SubjectDescription],
) -> None:
    """Open one event with the issues by administration, so that each recipient reads only of visible ones."""
    facts: EventContext = {}
    administrations: dict[int, EventContext] = {}
    for issue in issues:
        name = descriptions[issue.subject].name
        target = (
            facts
            if issue.subject_kind != SubjectKind.ADMINISTRATION
            else administrations.setdefault(issue.subject_id, {})
        )
        target.setdefault("name", name)
        target.setdefault("names", name)
        target.setdefault("issue", IssueReference(issue.code, issue.context))
        target["issues"] = count_in(target, "issues") + 1
    open_event(
        organisation_id,
        NotificationEvent.ISSUE_RAISED,
        EventKey("issues", issues[0].pk),
        responsible=responsible,
        administrations=administrations,
        context=facts,
        link=issues_url(),
    )


def _localize(facts: EventFacts) -> EventFacts:
    """Add the first issue's text; the issue itself may be gone by the time the notification is read."""
    issue = facts.get("issue")
    if not isinstance(issue, IssueReference):
        return {}
    return {"message": render_issue_message(issue.code, issue.facts)}


EVENT_TYPES = (
    EventType(
        NotificationEvent.ISSUE_RAISED,
        _("%(name)s needs your attention: %(message)s"),
        plural_message=_("%(issues)s issues need your attention, including: %(names)s"),
        label=_("New issue"),
        count_key="issues",
        by_administration=True,
        localize=_localize,
        is_momentary=True,
    ),
)
