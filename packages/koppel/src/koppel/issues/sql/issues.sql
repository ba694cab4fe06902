-- Issues are raised and resolved within the transaction of the caller.

-- name: refresh_issue
-- After ON CONFLICT, in place of {refresh}: other facts, or more of the same, bring a dismissed issue back.
DO UPDATE SET context = excluded.context, last_seen_at = now(),
  dismissed_at = CASE WHEN NOT ({is_news}) THEN issues_issue.dismissed_at END,
  notified_at = CASE WHEN issues_issue.dismissed_at IS NULL OR NOT ({is_news}) THEN issues_issue.notified_at END

-- name: is_news
issues_issue.context - 'count' <> excluded.context - 'count'
 OR coalesce((excluded.context->>'count')::bigint, 0) > coalesce((issues_issue.context->>'count')::bigint, 0)

-- name: raise_issue
INSERT INTO issues_issue (organisation_id, code, subject_kind, subject_id, detail_key, context, raised_at,
                          last_seen_at)
VALUES (%(organisation)s, %(code)s, %(kind)s, %(subject)s, %(detail)s, %(context)s::jsonb, now(), now())
    ON CONFLICT (organisation_id, subject_kind, subject_id, code, detail_key) WHERE resolved_at IS NULL
{refresh}
RETURNING xmax = 0;

-- name: reconcile_issues
WITH current_issue AS (
  SELECT code, detail_key, context::jsonb
    FROM unnest(%(codes_of_details)s::text[], %(details)s::text[], %(contexts)s::text[])
         AS listed (code, detail_key, context)
), resolved AS (
  UPDATE issues_issue issue SET resolved_at = now()
   WHERE organisation_id = %(organisation)s AND subject_kind = %(kind)s AND subject_id = %(subject)s
     AND code = ANY(%(codes)s) AND resolved_at IS NULL
     AND NOT EXISTS (
       SELECT FROM current_issue WHERE current_issue.code = issue.code
         AND current_issue.detail_key = issue.detail_key)
)
INSERT INTO issues_issue (organisation_id, code, subject_kind, subject_id, detail_key, context, raised_at,
                          last_seen_at)
SELECT %(organisation)s, code, %(kind)s, %(subject)s, detail_key, context, now(), now() FROM current_issue
    ON CONFLICT (organisation_id, subject_kind, subject_id, code, detail_key) WHERE resolved_at IS NULL
{refresh};

-- name: resolve_issues
UPDATE issues_issue SET resolved_at = now()
 WHERE organisation_id = %(organisation)s AND subject_kind = %(kind)s AND subject_id = %(subject)s
   AND resolved_at IS NULL
   AND (%(codes)s::text[] IS NULL OR code = ANY(%(codes)s::text[]))
   AND (%(detail)s::text IS NULL OR detail_key = %(detail)s);

-- name: has_open_issue
SELECT EXISTS (SELECT FROM issues_issue
                WHERE organisation_id = %(organisation)s AND subject_kind = %(kind)s AND subject_id = %(subject)s
                  AND code = ANY(%(codes)s) AND resolved_at IS NULL);
