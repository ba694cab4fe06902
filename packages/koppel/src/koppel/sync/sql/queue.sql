-- The queue of runs. States are written into these statements when they are loaded: the index holds open runs only,
-- and PostgreSQL must see the states to use it.

-- name: choose_runs
-- 'import' < 'manual' < 'schedule': the order of triggers is that of the alphabet.
-- A person waits for a manual run: three of an organisation at a time go before all others, more of them in turn.
WITH busy AS MATERIALIZED (
  SELECT organisation_id, count(*) AS runs, count(*) FILTER (WHERE trigger = {manual}) AS manual_runs
    FROM sync_run WHERE state = {running} GROUP BY organisation_id
), due AS MATERIALIZED (
  SELECT run.id, 0 AS rank FROM sync_run run
   WHERE run.state = {running} AND run.heartbeat_at < now() - make_interval(secs => {stalled_seconds})
   UNION ALL
  SELECT run.id, CASE WHEN run.trigger = {manual} THEN greatest(coalesce(busy.manual_runs, 0) + row_number() OVER (
             PARTITION BY run.organisation_id, run.trigger = {manual} ORDER BY run.attempt, run.id) - 3, 0)
           ELSE coalesce(busy.runs, 0) + row_number() OVER (
             PARTITION BY run.organisation_id, run.trigger = {manual} ORDER BY run.trigger, run.attempt, run.id) END
    FROM sync_run run
    JOIN administrations_administration a ON a.id = run.administration_id
    JOIN connections_connection c ON c.id = a.connection_id
    LEFT JOIN busy ON busy.organisation_id = run.organisation_id
   WHERE run.state = {queued} AND (run.not_before IS NULL OR run.not_before <= now()) AND c.state <> {paused}
)
SELECT run.id FROM due JOIN sync_run run ON run.id = due.id
 WHERE (run.state = {queued} AND (run.not_before IS NULL OR run.not_before <= now()))
    OR (run.state = {running} AND run.heartbeat_at < now() - make_interval(secs => {stalled_seconds}))
 ORDER BY due.rank, run.id LIMIT %(room)s FOR NO KEY UPDATE OF run SKIP LOCKED;

-- name: get_seconds_to_next_run
SELECT extract(epoch FROM min(not_before) - now())::float8 FROM sync_run
 WHERE state = {queued} AND not_before > now();

-- name: has_waiting_run
SELECT EXISTS (
  SELECT FROM sync_run run
    JOIN administrations_administration a ON a.id = run.administration_id
    JOIN connections_connection c ON c.id = a.connection_id
   WHERE (run.state = {queued} AND (run.not_before IS NULL OR run.not_before <= now()) AND c.state <> {paused})
      OR (run.state = {running} AND run.heartbeat_at < now() - make_interval(secs => {stalled_seconds})));

-- name: release_runs
UPDATE sync_run SET state = {queued}, not_before = NULL WHERE worker = %(worker)s AND state = {running};
