-- The queue of runs. States are written into these statements when they are loaded: the index holds open runs only,
-- and PostgreSQL must see the states to use it.

-- name: choose_runs
-- 'import' < 'manual' < 'schedule': the order of triggers is that of the alphabet.
-- A person waits for a manual run: three of an organisation at a time go before all others, more of them in turn.
-- Of each organisation and kind only the first runs are read, by the index queued_runs: a queue of 5,000 costs no
-- more than one of a hundred. The array names them by their ids, else PostgreSQL may read all that wait.
-- Organisations that use all their slots in the worker are excluded.
WITH RECURSIVE busy AS MATERIALIZED (
  SELECT organisation_id, count(*) AS runs, count(*) FILTER (WHERE trigger = {manual}) AS manual_runs
    FROM sync_run WHERE state = {running} GROUP BY organisation_id
), waiting (organisation_id) AS (
  (SELECT organisation_id FROM sync_run WHERE state = {queued} ORDER BY organisation_id LIMIT 1)
   UNION ALL
  SELECT (SELECT run.organisation_id FROM sync_run run
           WHERE run.state = {queued} AND run.organisation_id > waiting.organisation_id
           ORDER BY run.organisation_id LIMIT 1)
    FROM waiting WHERE waiting.organisation_id IS NOT NULL
), organisations AS MATERIALIZED (
  SELECT waiting.organisation_id, coalesce(busy.runs, 0) AS runs, coalesce(busy.manual_runs, 0) AS manual_runs
    FROM waiting LEFT JOIN busy ON busy.organisation_id = waiting.organisation_id
   WHERE waiting.organisation_id <> ALL(%(excluded)s::bigint[])
), due AS MATERIALIZED (
  SELECT run.id, 0 AS rank FROM sync_run run
   WHERE run.state = {running} AND run.heartbeat_at < now() - make_interval(secs => {stalled_seconds})
     AND run.organisation_id <> ALL(%(excluded)s::bigint[])
   UNION ALL
  SELECT first_runs.id, greatest(own.manual_runs + row_number() OVER (
           PARTITION BY own.organisation_id ORDER BY first_runs.precedence, first_runs.id) - 3, 0)
    FROM organisations own CROSS JOIN LATERAL ({manual_runs}) first_runs
   UNION ALL
  SELECT first_runs.id, own.runs + row_number() OVER (
           PARTITION BY own.organisation_id ORDER BY first_runs.trigger, first_runs.precedence, first_runs.id)
    FROM organisations own
   CROSS JOIN LATERAL (({begun_imports}) UNION ALL ({new_imports}) UNION ALL ({scheduled})) first_runs
)
SELECT run.id, run.organisation_id FROM due JOIN sync_run run ON run.id = due.id
 WHERE run.id = ANY (ARRAY(SELECT id FROM due))
   AND ((run.state = {queued} AND (run.not_before IS NULL OR run.not_before <= now()))
     OR (run.state = {running} AND run.heartbeat_at < now() - make_interval(secs => {stalled_seconds})))
 ORDER BY due.rank, run.id LIMIT %(room)s FOR NO KEY UPDATE OF run SKIP LOCKED;

-- name: list_first_runs
-- A part of choose_runs: the first runs of one kind that may start, with as many more as other workers may have
-- locked.
SELECT run.id, run.trigger, run.attempt AS precedence FROM sync_run run
  JOIN administrations_administration a ON a.id = run.administration_id
  JOIN connections_connection c ON c.id = a.connection_id
 WHERE run.state = {queued} AND run.organisation_id = own.organisation_id AND run.trigger = {trigger}
   AND run.attempt {attempts} AND (run.not_before IS NULL OR run.not_before <= now()) AND c.state <> {paused}
 ORDER BY run.attempt, run.id LIMIT %(room)s + {lookahead};

-- name: list_begun_imports
-- A part of choose_runs: imports that had a turn, the oldest first, by the index begun_imports. They precede new ones:
-- an import of hundreds completes its administrations one after the other, also while the vendor makes many wait.
-- Not in the order of ids: PostgreSQL would follow the primary key through all finished runs to spare a sort.
SELECT run.id, run.trigger, -1 AS precedence FROM sync_run run
  JOIN administrations_administration a ON a.id = run.administration_id
  JOIN connections_connection c ON c.id = a.connection_id
 WHERE run.state = {queued} AND run.organisation_id = own.organisation_id AND run.trigger = {import}
   AND run.attempt > 0 AND (run.not_before IS NULL OR run.not_before <= now()) AND c.state <> {paused}
 ORDER BY run.created_at, run.id LIMIT %(room)s + {lookahead};

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

-- name: get_waiting_runs
-- Their number, how long the oldest has been able to start, and whether a worker executes any. Sent by Django.
SELECT count(*), extract(epoch FROM now() - min(greatest(run.created_at, run.not_before)))::float8,
       EXISTS (SELECT FROM sync_run WHERE state = %(running)s
                  AND heartbeat_at > now() - make_interval(secs => %(stalled_seconds)s))
  FROM sync_run run
  JOIN administrations_administration a ON a.id = run.administration_id
  JOIN connections_connection c ON c.id = a.connection_id
 WHERE run.state = %(queued)s AND (run.not_before IS NULL OR run.not_before <= now()) AND c.state <> %(paused)s;
