-- The rows of grants, for the vault. Each write names the generation that it was made for; it changes no row when the grant
-- has moved on since.

-- name: read_grants
SELECT g.id, g.connection_id, g.company_id, g.access_token, g.refresh_token, g.issued_at, g.expires_at, g.generation,
       g.refresh_started_at, extract(epoch FROM clock_timestamp() - g.refresh_started_at)::float8, g.refresh_error,
       g.failures, g.failure_kind, g.failure_code, g.failure_reason, g.retry_at, g.maintain_at, g.last_forced_refresh_at,
       g.invalid_since, g.invalid_code, g.invalid_reason,
       a.id, a.organisation_id, a.connector, a.environment, a.consent_mode, a.client_id, a.client_secret, a.base_urls
  FROM connections_grant g
  JOIN connections_connection c ON c.id = g.connection_id AND c.organisation_id = g.organisation_id
  JOIN connections_app_registration a ON a.id = c.app_id
 WHERE g.id = ANY(%(grant_ids)s)

-- name: mark_refresh_started
-- The intent to refresh, committed before the call.
UPDATE connections_grant
   SET refresh_started_at = clock_timestamp(), refresh_error = '', maintain_at = %(maintain_at)s
 WHERE id = %(grant_id)s AND generation = %(generation)s
   AND refresh_started_at IS NOT DISTINCT FROM %(started_at)s AND invalid_since IS NULL

-- name: withdraw_refresh
UPDATE connections_grant
   SET refresh_started_at = %(started_at)s, refresh_error = %(refresh_error)s, maintain_at = %(maintain_at)s
 WHERE id = %(grant_id)s AND generation = %(generation)s AND invalid_since IS NULL

-- name: store_tokens
-- A refresh token that was not given anew stays.
UPDATE connections_grant
   SET access_token = %(access_token)s, refresh_token = coalesce(%(refresh_token)s, refresh_token),
       issued_at = %(issued_at)s, expires_at = %(expires_at)s,
       refresh_expires_at = coalesce(%(refresh_expires_at)s, refresh_expires_at),
       maintain_at = %(maintain_at)s, last_forced_refresh_at = %(last_forced_refresh_at)s,
       generation = generation + 1, refresh_started_at = NULL, refresh_error = '',
       failures = 0, failure_kind = '', failure_code = '', failure_reason = '', retry_at = NULL
 WHERE id = %(grant_id)s AND generation = %(generation)s

-- name: record_refresh_failure
UPDATE connections_grant
   SET failures = failures + 1, failure_kind = %(kind)s, failure_code = %(code)s, failure_reason = %(reason)s,
       retry_at = %(retry_at)s, maintain_at = %(retry_at)s,
       refresh_started_at = CASE WHEN %(withdraws_intent)s THEN NULL ELSE refresh_started_at END,
       refresh_error = %(refresh_error)s
 WHERE id = %(grant_id)s AND generation = %(generation)s AND invalid_since IS NULL

-- name: list_due_grants
-- What token maintenance should look at, the longest overdue first.
SELECT g.organisation_id, g.id
  FROM connections_grant g
  JOIN connections_connection c ON c.id = g.connection_id AND c.organisation_id = g.organisation_id
 WHERE g.invalid_since IS NULL AND g.maintain_at <= %(now)s AND g.id <> ALL(%(excluded_ids)s::bigint[])
   AND c.state <> %(removed)s
 ORDER BY g.maintain_at LIMIT %(limit)s

-- name: try_grant_locks
-- Tries the locks of grants that are still as their callers read them. {try_session_lock} is a function of a lock's key.
WITH requested AS (
       SELECT * FROM unnest(%(ids)s::bigint[], %(keys)s::bigint[], %(generations)s::int[], %(failures)s::int[])
              AS request(id, key, generation, failures)),
     checked AS MATERIALIZED (
       SELECT requested.id, requested.key,
              g.id IS NULL OR g.generation <> requested.generation OR g.failures <> requested.failures
              OR g.invalid_since IS NOT NULL AS is_stale
         FROM requested LEFT JOIN connections_grant g ON g.id = requested.id)
SELECT id, is_stale, CASE WHEN is_stale THEN false ELSE {try_session_lock}(key) END FROM checked
