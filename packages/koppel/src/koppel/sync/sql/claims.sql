-- What a worker does to the runs that it holds. The attempt is named: a worker that lost the run changes nothing.

-- name: claim_runs
-- A run that another worker holds without a heartbeat cost that worker, perhaps.
UPDATE sync_run run
   SET worker_losses = run.worker_losses + (run.state = %(running)s AND run.worker <> %(worker)s)::int,
       state = %(running)s::text, attempt = run.attempt + 1, worker = %(worker)s, heartbeat_at = now(),
       not_before = NULL, started_at = coalesce(run.started_at, now()), reason = '', reason_code = ''
  FROM administrations_administration a
  JOIN connections_connection c ON c.id = a.connection_id AND c.organisation_id = a.organisation_id
 WHERE run.id = ANY(%(runs)s) AND a.id = run.administration_id AND a.organisation_id = run.organisation_id
   AND ((run.state = %(queued)s AND (run.not_before IS NULL OR run.not_before <= now()))
     OR (run.state = %(running)s AND run.heartbeat_at < now() - make_interval(secs => %(stalled_seconds)s)))
RETURNING run.id, run.attempt, run.organisation_id, run.administration_id, a.connection_id, a.remote_company_id,
          c.connector, run.full, run.resources, run.failures, run.crashes, run.trigger, run.created_at, run.worker_losses,
          coalesce((SELECT previous.reason_code = %(killed)s FROM sync_run previous
                     WHERE previous.administration_id = run.administration_id AND previous.id <> run.id
                     ORDER BY previous.created_at DESC LIMIT 1), false) AS killed_its_process;

-- name: fence_run
-- Sent together with BEGIN, which takes no parameters.
SELECT 1 FROM sync_run WHERE id = {run:d} AND attempt = {attempt:d} AND state = {running} FOR NO KEY UPDATE;

-- name: fence_pages
-- Likewise, and the run has as many committed pages as its worker counted: none got lost in a failover.
SELECT 1 FROM sync_run
 WHERE id = {run:d} AND attempt = {attempt:d} AND state = {running}
   AND {pages:d} = (SELECT coalesce(sum(pages), 0) FROM sync_run_resource WHERE run_id = {run:d})
   FOR NO KEY UPDATE;

-- name: renew_heartbeat
UPDATE sync_run run
   SET heartbeat_at = now(), state = CASE c.state WHEN %(paused)s THEN %(queued)s ELSE run.state END
  FROM connections_connection c
 WHERE run.id = %(run)s AND run.attempt = %(attempt)s AND run.state = %(running)s AND c.id = %(connection)s
RETURNING run.state;

-- name: requeue_run
UPDATE sync_run
   SET state = %(queued)s, not_before = now() + make_interval(secs => %(seconds)s), failures = failures + %(failures)s,
       reason_code = %(code)s, reason = %(reason)s
 WHERE id = %(run)s AND attempt = %(attempt)s AND state = %(running)s;

-- name: requeue_run_after_crash
UPDATE sync_run
   SET state = %(queued)s, not_before = now() + make_interval(secs => %(seconds)s), crashes = crashes + 1,
       reason_code = %(code)s, reason = %(reason)s
 WHERE id = %(run)s AND attempt = %(attempt)s AND state = %(running)s;

-- name: requeue_run_for_outage
-- After a quarter of an hour without errors it is a new outage.
WITH outage AS (
  SELECT CASE WHEN last_outage_at > now() - make_interval(secs => %(new_after)s) THEN outage_since ELSE now() END
         AS since
    FROM sync_run WHERE id = %(run)s)
UPDATE sync_run
   SET state = %(queued)s, outage_since = outage.since, last_outage_at = now(), reason_code = %(code)s,
       reason = %(reason)s,
       not_before = now() + %(jitter)s * least(greatest(now() - outage.since, make_interval(secs => %(least)s)),
                                               make_interval(secs => %(most)s))
  FROM outage WHERE id = %(run)s AND attempt = %(attempt)s AND state = %(running)s
RETURNING extract(epoch FROM now() - outage_since)::float8;

-- name: get_run_failures
SELECT failures FROM sync_run WHERE id = %(run)s;

-- name: reset_run_failures
UPDATE sync_run SET failures = 0, worker_losses = 0 WHERE id = %(run)s;
