"""Reads of open issues, with their words."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Count
from django.utils.translation import gettext

from koppel.issues.issue_types import Words, entry_of
from koppel.issues.models import Issue
from koppel.kit.periods import written


@dataclass(frozen=True)
class IssueView:
    """An issue as a person reads it. `link` and `button` are '' when there is nothing to press."""

    id: int
    code: str
    subject_kind: str
    subject_id: int
    sentence: str
    advice: str
    button: str
    link: str
    facts: dict[str, object]
    raised_at: datetime


def open_issues(organisation_id: int, kind: str, ids: Iterable[int]) -> dict[int, list[IssueView]]:
    """Open issues by subject id, oldest first; subjects without issues are absent."""
    found = Issue.objects.filter(
        organisation_id=organisation_id, subject_kind=kind, subject_id__in=list(ids), resolved_at=None
    ).order_by("raised_at", "id")
    by_subject: dict[int, list[IssueView]] = {}
    for issue in found:
        by_subject.setdefault(issue.subject_id, []).append(view_of(issue))
    return by_subject


def count_open(organisation_id: int, kind: str, ids: Iterable[int]) -> dict[int, int]:
    """How many open issues each subject has; subjects without are absent."""
    found = Issue.objects.filter(
        organisation_id=organisation_id, subject_kind=kind, subject_id__in=list(ids), resolved_at=None
    )
    return dict(found.values_list("subject_id").annotate(Count("id")).order_by())


def view_of(issue: Issue) -> IssueView:
    entry = entry_of(issue.code)
    facts = {"code": issue.code, **issue.facts}
    if reason := facts.get("reason"):
        facts["reason"] = gettext(str(reason))
    return IssueView(
        id=issue.pk,
        code=issue.code,
        subject_kind=issue.subject_kind,
        subject_id=issue.subject_id,
        sentence=_filled(entry.sentence, facts),
        advice=_filled(entry.advice, facts),
        button=str(entry.button),
        link=entry.link(issue.subject_id, facts) if entry.link else "",
        facts=issue.facts,
        raised_at=issue.raised_at,
    )


def sentence_of(code: str, facts: dict[str, object]) -> str:
    """In the language that is active, also when the issue itself is gone."""
    return _filled(entry_of(code).sentence, {"code": code, **facts})


def _filled(words: Words, facts: dict[str, object]) -> str:
    """Facts may be older than the words: a missing one shows as a dash, never as a failed page. A vendor's reason was kept
    as the connector said it, without a language; it is translated where it is shown, and a period written for a person."""
    readings: dict[str, Callable[[str], str]] = {"reason": gettext, "period": written}
    read = {name: reading(text) for name, reading in readings.items() if isinstance(text := facts.get(name), str)}
    return str(words % _Dashes({**facts, **read}))


class _Dashes(dict[str, object]):
    def __missing__(self, key: str) -> str:
        return "–"
