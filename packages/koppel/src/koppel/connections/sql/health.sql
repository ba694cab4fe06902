-- Whether a vendor answers, and when a consent ends.

-- name: record_connection_answered
UPDATE connections_connection SET last_contact_at = now() WHERE id = %(connection_id)s RETURNING state

-- name: record_company_answered
UPDATE connections_remote_company SET last_contact_at = now(), failing_since = NULL, failing_reason = ''
 WHERE id = %(company_id)s

-- name: list_undescribed_companies
SELECT r.id, c.connector
  FROM connections_remote_company r
  JOIN connections_connection c ON c.id = r.connection_id AND c.organisation_id = r.organisation_id
 WHERE r.connection_id = %(connection_id)s AND r.is_listed
   AND (r.described_at IS NULL OR r.described_at < now() - %(described_for)s::interval OR r.conflict_detected_at IS NOT NULL)
 ORDER BY r.name

-- name: choose_company_to_check
-- Of the valid grants a listed company, one that failed latest or answered latest; without one, a grant to list companies with.
SELECT c.connector, r.id, g.id
  FROM connections_connection c
  LEFT JOIN connections_grant g ON g.connection_id = c.id AND g.organisation_id = c.organisation_id
        AND g.invalid_since IS NULL AND NOT g.is_pending_transfer
  LEFT JOIN connections_remote_company r ON r.grant_id = g.id AND r.organisation_id = g.organisation_id
        AND r.is_listed
 WHERE c.id = %(connection_id)s
 ORDER BY r.unreachable_code = '' DESC NULLS LAST, r.failing_since DESC NULLS FIRST, r.last_contact_at DESC NULLS LAST, g.id
 LIMIT 1

-- name: claim_due_checks
-- Degraded connections, at growing intervals of up to five minutes; those that nothing called for `idle`, as often. And those
-- that need a sign-in although every grant works: a process refreshed one, and stopped before it changed the state.
WITH due AS (
       SELECT c.id
         FROM connections_connection c
        WHERE (c.state = %(degraded)s AND c.next_probe_at <= now())
           OR (c.state = %(active)s AND coalesce(c.last_contact_at, c.created_at) < now() - %(idle)s::interval
               AND coalesce(c.next_probe_at, c.created_at) <= now())
           OR (c.state = %(needs_reauth)s AND coalesce(c.next_probe_at, c.created_at) <= now()
               AND (SELECT bool_and(g.failures = 0) FROM connections_grant g
                     WHERE g.connection_id = c.id AND g.organisation_id = c.organisation_id
                       AND NOT g.is_pending_transfer AND g.invalid_since IS NULL))
        ORDER BY c.next_probe_at NULLS FIRST LIMIT %(limit)s FOR NO KEY UPDATE SKIP LOCKED)
UPDATE connections_connection c
   SET probe_count = c.probe_count + 1,
       next_probe_at = now() + CASE WHEN c.state = %(active)s THEN %(idle)s::interval
                               ELSE least(30 * power(2, least(c.probe_count + 1, 10)), 300) * interval '1 second' END
  FROM due WHERE c.id = due.id
RETURNING c.organisation_id, c.id

-- name: read_consent_expiry
-- When the consents of these connections end: the first grant of each. NULL where nobody knows.
SELECT c.id, min(coalesce(g.refresh_expires_at, g.issued_at + a.refresh_token_days * interval '1 day'))
  FROM connections_connection c
  JOIN connections_app_registration a ON a.id = c.app_id
  JOIN connections_grant g ON g.connection_id = c.id AND g.organisation_id = c.organisation_id
 WHERE c.id = ANY(%(connection_ids)s) AND c.state <> %(removed)s
   AND g.invalid_since IS NULL AND NOT g.is_pending_transfer AND g.refresh_token IS NOT NULL
 GROUP BY c.id

-- name: list_expiring_consents
-- Connections whose first consent ends within `notice`, unless somebody was notified of this end, or of one up to a day earlier.
WITH expiry AS (
       SELECT c.organisation_id, c.id, c.expiry_notified_for,
              min(coalesce(g.refresh_expires_at, g.issued_at + a.refresh_token_days * interval '1 day')) AS ends_at
         FROM connections_connection c
         JOIN connections_app_registration a ON a.id = c.app_id
         JOIN connections_grant g ON g.connection_id = c.id AND g.organisation_id = c.organisation_id
        WHERE c.state = ANY(%(states)s)
          AND g.invalid_since IS NULL AND NOT g.is_pending_transfer AND g.refresh_token IS NOT NULL
        GROUP BY c.organisation_id, c.id, c.expiry_notified_for)
SELECT organisation_id, id, ends_at
  FROM expiry
 WHERE ends_at < now() + %(notice)s::interval
   AND (expiry_notified_for IS NULL
        OR ends_at NOT BETWEEN expiry_notified_for AND expiry_notified_for + interval '1 day')
 LIMIT %(limit)s
