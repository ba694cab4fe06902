-- Runs begin, end, and stop with their connection. Sent by Django, in the scope of their organisation.

-- name: lock_run
-- It stays ours until the transaction ends.
SELECT 1 FROM sync_run
 WHERE organisation_id = %(organisation)s AND id = %(run)s AND attempt = %(attempt)s AND state = %(running)s
   FOR NO KEY UPDATE;

-- name: finish_run
-- `pages`: how many its worker committed, if they must all be there; NULL for a run that fails.
UPDATE sync_run SET state = %(state)s, finished_at = now(), reason_code = %(code)s, reason = %(reason)s
 WHERE organisation_id = %(organisation)s AND id = %(run)s AND attempt = %(attempt)s AND state = %(running)s
   AND (%(pages)s::int IS NULL
     OR %(pages)s = (SELECT coalesce(sum(pages), 0) FROM sync_run_resource WHERE run_id = %(run)s));

-- name: get_complete_as_of
SELECT min(complete_as_of) FROM sync_checkpoint
 WHERE organisation_id = %(organisation)s AND administration_id = %(administration)s AND resource = ANY(%(resources)s)
   AND available;

-- name: get_outage_seconds
-- Over async psycopg.
SELECT extract(epoch FROM now() - degraded_since)::float8 FROM connections_connection
 WHERE id = %(connection)s AND state = %(degraded)s;

-- name: requeue_runs_of_connection
UPDATE sync_run run SET state = %(queued)s, not_before = NULL FROM administrations_administration a
 WHERE a.id = run.administration_id AND a.organisation_id = run.organisation_id
   AND a.organisation_id = %(organisation)s AND a.connection_id = %(connection)s AND run.state = %(running)s;

-- name: requeue_runs_of_administrations
UPDATE sync_run SET state = %(queued)s, not_before = NULL
 WHERE organisation_id = %(organisation)s AND administration_id = ANY(%(administrations)s) AND state = %(running)s;

-- name: cancel_runs_of_connection
UPDATE sync_run run SET state = %(cancelled)s, finished_at = now(), reason_code = %(code)s, reason = ''
  FROM administrations_administration a
 WHERE a.id = run.administration_id AND a.organisation_id = run.organisation_id
   AND a.organisation_id = %(organisation)s AND a.connection_id = %(connection)s
   AND run.state IN (%(queued)s, %(running)s);

-- name: resume_waiting_runs_of_connection
UPDATE sync_run run SET not_before = now() FROM administrations_administration a
 WHERE a.id = run.administration_id AND a.organisation_id = run.organisation_id
   AND a.organisation_id = %(organisation)s AND a.connection_id = %(connection)s
   AND run.state = %(queued)s AND run.not_before > now()
   AND (run.reason_code = ANY(%(codes)s) OR run.failures > 0);

-- name: lock_open_runs
-- No worker claims a locked run: it skips it.
SELECT state FROM sync_run
 WHERE organisation_id = %(organisation)s AND administration_id = %(administration)s AND state = ANY(%(open)s)
   FOR NO KEY UPDATE;
