"""Raise and resolve issues, in the caller's transaction and scope."""

import json
from collections.abc import Collection, Iterable, Mapping

from django.db import connection
from django.utils import timezone

from koppel.audit.subjects import Subject, SubjectKind
from koppel.issues.issue_types import IssueCode
from koppel.issues.models import Issue
from koppel.kit.database.json_fields import MessageContext, MessageFacts, encode
from koppel.kit.database.sql_files import load_statements

_SQL = load_statements("koppel.issues")
_REFRESH = _SQL["refresh_issue"].format(is_news=_SQL["is_news"])
_RAISE = _SQL["raise_issue"].format(refresh=_REFRESH)
_RECONCILE = _SQL["reconcile_issues"].format(refresh=_REFRESH)


def raise_issue(
    organisation_id: int,
    code: IssueCode,
    subject: Subject,
    context: MessageFacts | None = None,
    *,
    detail_key: str = "",
) -> bool:
    """Open an issue, or refresh the context of the open one. Returns whether the issue is new.

    `context` must be JSON, without secrets.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            _RAISE,
            {
                "organisation": organisation_id,
                "code": code,
                "kind": subject.kind,
                "subject": subject.id,
                "detail": detail_key[:200],
                "context": encode(context or {}, MessageContext),
            },
        )
        return bool(cursor.fetchone()[0])


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
                "codes_of_details": _values(code for code, _detail in rows),
                "details": [detail for _code, detail in rows],
                "contexts": [encode(context, MessageContext) for context in rows.values()],
            },
        )


def has_open_issues(organisation_id: int, subject: Subject, codes: Collection[IssueCode]) -> bool:
    """Return whether any of these codes is open for the subject."""
    with connection.cursor() as cursor:
        cursor.execute(
            _SQL["has_open_issue"],
            {
                "organisation": organisation_id,
                "kind": subject.kind,
                "subject": subject.id,
                "codes": _values(codes),
            },
        )
        return bool(cursor.fetchone()[0])


def resolve_issues_bulk(
    organisation_id: int, kind: SubjectKind, ids: Collection[int], codes: Collection[IssueCode]
) -> int:
    """Resolve the open issues of these codes of many subjects. Returns their number."""
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
            _SQL["resolve_issues"],
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
    """Return the facts of the subject's open issues of this code, by detail key."""
    issues = Issue.objects.in_organisation(organisation_id).filter(
        subject_kind=subject.kind, subject_id=subject.id or 0, code=code, resolved_at=None
    )
    return {(issue.detail_key, json.dumps(issue.context, sort_keys=True, default=str)) for issue in issues}
