"""Raise and resolve issues, in the caller's transaction and scope."""

import json
from collections.abc import Collection, Iterable, Mapping

from django.db import connection
from django.utils import timezone

from koppel.audit.subjects import Subject, SubjectKind
from koppel.issues.issue_types import IssueCode
from koppel.issues.models import Issue
from koppel.kit.database.json_fields import MessageContext, MessageFacts, encode

_REFRESH = """
DO UPDATE SET context = excluded.context, last_seen_at = now(),
  dismissed_at = CASE WHEN NOT (__is_news__) THEN issues_issue.dismissed_at END,
  notified_at = CASE WHEN issues_issue.dismissed_at IS NULL OR NOT (__is_news__)
    THEN issues_issue.notified_at END
""".replace(
    "__is_news__",
    """issues_issue.context - 'count' <> excluded.context - 'count'
    OR COALESCE((excluded.context->>'count')::bigint, 0)
     > COALESCE((issues_issue.context->>'count')::bigint, 0)""",
)
"""Other facts, or more of the same, bring a dismissed issue back."""
_RAISE = f"""
INSERT INTO issues_issue (organisation_id, code, subject_kind, subject_id, detail_key, context, raised_at,
  last_seen_at)
VALUES (%s, %s, %s, %s, %s, %s::jsonb, now(), now())
ON CONFLICT (organisation_id, subject_kind, subject_id, code, detail_key) WHERE resolved_at IS NULL
{_REFRESH}
RETURNING xmax = 0
"""  # noqa: S608 - statements of our own


def raise_issue(
    organisation_id: int,
    code: IssueCode,
    subject: Subject,
    context: MessageFacts | None = None,
    *,
    detail_key: str = "",
) -> bool:
    """Open an issue, or refresh the context of the open one. True when it is new. `context` must be JSON,
    without secrets.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            _RAISE,
            [
                organisation_id,
                code,
                subject.kind,
                subject.id,
                detail_key[:200],
                encode(context or {}, MessageContext),
            ],
        )
        return bool(cursor.fetchone()[0])


_RESOLVE = """
UPDATE issues_issue SET resolved_at = now()
 WHERE organisation_id = %(organisation)s AND subject_kind = %(kind)s AND subject_id = %(subject)s
   AND resolved_at IS NULL
   AND (%(codes)s::text[] IS NULL OR code = ANY(%(codes)s::text[]))
   AND (%(detail)s::text IS NULL OR detail_key = %(detail)s)
"""
_HAS_OPEN = """
SELECT EXISTS (SELECT FROM issues_issue WHERE organisation_id = %s AND subject_kind = %s AND subject_id = %s
                  AND code = ANY(%s) AND resolved_at IS NULL)
"""
_RECONCILE = f"""
WITH current_issue AS (
  SELECT code, detail_key, context::jsonb
    FROM unnest(%(of)s::text[], %(details)s::text[], %(context)s::text[]) AS listed (code, detail_key,
      context)
), resolved AS (
  UPDATE issues_issue issue SET resolved_at = now()
   WHERE organisation_id = %(organisation)s AND subject_kind = %(kind)s AND subject_id = %(subject)s
     AND code = ANY(%(codes)s)
     AND resolved_at IS NULL
     AND NOT EXISTS (
       SELECT FROM current_issue WHERE current_issue.code = issue.code
         AND current_issue.detail_key = issue.detail_key)
)
INSERT INTO issues_issue (organisation_id, code, subject_kind, subject_id, detail_key, context, raised_at,
  last_seen_at)
SELECT %(organisation)s, code, %(kind)s, %(subject)s, detail_key, context, now(), now() FROM current_issue
    ON CONFLICT (organisation_id, subject_kind, subject_id, code, detail_key) WHERE resolved_at IS NULL
{_REFRESH}
"""  # noqa: S608 - statements of our own


def reconcile_issues(
    organisation_id: int, subject: Subject, current: Mapping[IssueCode, Mapping[str, MessageFacts]]
) -> None:
    """Open and resolve issues so that exactly `current` is open: {code: {detail: context}}."""
    rows = {
        (code, detail[:200]): context
        for code, details in current.items()
        for detail, context in details.items()
    }
    with connection.cursor() as cursor:
        cursor.execute(
            _RECONCILE,
            {
                "organisation": organisation_id,
                "kind": subject.kind,
                "subject": subject.id,
                "codes": _values(current),
                "of": _values(code for code, _detail in rows),
                "details": [detail for _code, detail in rows],
                "context": [encode(context, MessageContext) for context in rows.values()],
            },
        )


def has_open_issues(organisation_id: int, subject: Subject, codes: Collection[IssueCode]) -> bool:
    """Return whether any of these codes is open for the subject."""
    with connection.cursor() as cursor:
        cursor.execute(_HAS_OPEN, [organisation_id, subject.kind, subject.id, _values(codes)])
        return bool(cursor.fetchone()[0])


def resolve_issues_bulk(
    organisation_id: int, kind: SubjectKind, ids: Collection[int], codes: Collection[IssueCode]
) -> int:
    """Close the open issues of these codes of many subjects. How many were open."""
    issues = Issue.objects.in_organisation(organisation_id).filter(
        subject_kind=kind, subject_id__in=ids, code__in=codes, resolved_at=None
    )
    return issues.update(resolved_at=timezone.now())


def resolve_issues(
    organisation_id: int, subject: Subject, *codes: IssueCode, detail_key: str | None = None
) -> int:
    """Resolve the subject's open issues, of these codes and this detail when given. Returns their number."""
    with connection.cursor() as cursor:
        cursor.execute(
            _RESOLVE,
            {
                "organisation": organisation_id,
                "kind": subject.kind,
                "subject": subject.id,
                "codes": _values(codes) or None,
                "detail": detail_key,
            },
        )
        return int(cursor.rowcount)


def _values(codes: Iterable[IssueCode]) -> list[str]:
    """Return the codes as plain text: psycopg dumps no list of members of several enums."""
    return [str(code) for code in codes]


def open_contexts(organisation_id: int, subject: Subject, code: IssueCode) -> set[tuple[str, str]]:
    """Return what the open issues of this code say of the subject: their detail keys with their facts."""
    issues = Issue.objects.in_organisation(organisation_id).filter(
        subject_kind=subject.kind, subject_id=subject.id or 0, code=code, resolved_at=None
    )
    return {(issue.detail_key, json.dumps(issue.context, sort_keys=True, default=str)) for issue in issues}
