"""Raise and resolve. Both join the caller's transaction and scope."""

import json
from collections.abc import Collection, Mapping
from typing import Any

from django.db import connection
from django.utils import timezone

from koppel.issues.models import Issue

Subject = tuple[str, int]
"""What the issue is about: (`administration` | `connection`, its id)."""

_RAISE = """
INSERT INTO issues_issue (organisation_id, code, subject_kind, subject_id, detail_key, facts, raised_at, last_seen_at)
VALUES (%s, %s, %s, %s, %s, %s::jsonb, now(), now())
ON CONFLICT (organisation_id, subject_kind, subject_id, code, detail_key) WHERE resolved_at IS NULL
DO UPDATE SET facts = excluded.facts, last_seen_at = now()
RETURNING xmax = 0
"""


def raise_issue(
    organisation_id: int, code: str, subject: Subject, facts: Mapping[str, Any] | None = None, *, detail_key: str = ""
) -> bool:
    """Open an issue, or refresh the facts of the open one. True when it is new. `facts` must be JSON, without secrets."""
    with connection.cursor() as cursor:
        kind, subject_id = subject
        cursor.execute(
            _RAISE, [organisation_id, code, kind, subject_id, detail_key[:200], json.dumps(dict(facts or {}))]
        )
        return bool(cursor.fetchone()[0])


_RESOLVE = """
UPDATE issues_issue SET resolved_at = now()
 WHERE organisation_id = %(organisation)s AND subject_kind = %(kind)s AND subject_id = %(subject)s AND resolved_at IS NULL
   AND (%(codes)s::text[] IS NULL OR code = ANY(%(codes)s::text[]))
   AND (%(detail)s::text IS NULL OR detail_key = %(detail)s)
"""
_HAS_OPEN = """
SELECT EXISTS (SELECT FROM issues_issue WHERE organisation_id = %s AND subject_kind = %s AND subject_id = %s
                  AND code = ANY(%s) AND resolved_at IS NULL)
"""
_KEEP = """
WITH wrong AS (
  SELECT code, detail_key, facts::jsonb
    FROM unnest(%(of)s::text[], %(details)s::text[], %(facts)s::text[]) AS one (code, detail_key, facts)
), right_again AS (
  UPDATE issues_issue issue SET resolved_at = now()
   WHERE organisation_id = %(organisation)s AND subject_kind = %(kind)s AND subject_id = %(subject)s AND code = ANY(%(codes)s)
     AND resolved_at IS NULL
     AND NOT EXISTS (SELECT FROM wrong WHERE wrong.code = issue.code AND wrong.detail_key = issue.detail_key)
)
INSERT INTO issues_issue (organisation_id, code, subject_kind, subject_id, detail_key, facts, raised_at, last_seen_at)
SELECT %(organisation)s, code, %(kind)s, %(subject)s, detail_key, facts, now(), now() FROM wrong
    ON CONFLICT (organisation_id, subject_kind, subject_id, code, detail_key) WHERE resolved_at IS NULL
    DO UPDATE SET facts = excluded.facts, last_seen_at = now()
"""


def keep_issues(organisation_id: int, subject: Subject, wrong: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> None:
    """Of these codes exactly these details are open afterwards, each with its facts: {code: {detail: facts}}."""
    found = {(code, detail[:200]): facts for code, details in wrong.items() for detail, facts in details.items()}
    with connection.cursor() as cursor:
        cursor.execute(
            _KEEP,
            {
                "organisation": organisation_id, "kind": subject[0], "subject": subject[1], "codes": list(wrong),
                "of": [code for code, _detail in found], "details": [detail for _code, detail in found],
                "facts": [json.dumps(dict(facts)) for facts in found.values()],
            },
        )  # fmt: skip


def has_open_issues(organisation_id: int, subject: Subject, codes: Collection[str]) -> bool:
    """Whether any of these codes is open for the subject."""
    with connection.cursor() as cursor:
        cursor.execute(_HAS_OPEN, [organisation_id, *subject, list(codes)])
        return bool(cursor.fetchone()[0])


def resolve_for_many(organisation_id: int, kind: str, ids: Collection[int], codes: Collection[str]) -> int:
    """Close the open issues of these codes of many subjects. How many were open."""
    found = Issue.objects.filter(
        organisation_id=organisation_id, subject_kind=kind, subject_id__in=ids, code__in=codes, resolved_at=None
    )
    return found.update(resolved_at=timezone.now())


def resolve_issues(organisation_id: int, subject: Subject, *codes: str, detail_key: str | None = None) -> int:
    """Close the subject's open issues (of these codes, of this detail). How many were open."""
    with connection.cursor() as cursor:
        cursor.execute(
            _RESOLVE,
            {
                "organisation": organisation_id, "kind": subject[0], "subject": subject[1], "codes": list(codes) or None,
                "detail": detail_key,
            },
        )  # fmt: skip
        return int(cursor.rowcount)
