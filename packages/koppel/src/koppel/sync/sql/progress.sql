-- How long earlier runs took.

-- name: list_durations_of_administrations
-- By resource, in the last finished run of each. The first run reads everything and says little about the later ones.
SELECT last.administration_id, rr.resource, extract(epoch FROM rr.finished_at - rr.started_at)::float8
  FROM unnest(%(administrations)s::bigint[]) AS wanted (administration_id)
 CROSS JOIN LATERAL (
   SELECT run.id, run.administration_id FROM sync_run run
    WHERE run.administration_id = wanted.administration_id AND run.state = %(succeeded)s AND NOT run.full
    ORDER BY run.created_at DESC LIMIT 1) AS last
  JOIN sync_run_resource rr ON rr.run_id = last.id
 WHERE rr.state = %(done)s AND rr.finished_at IS NOT NULL AND rr.started_at IS NOT NULL AND last.id <> (
   SELECT min(first.id) FROM sync_run first WHERE first.administration_id = last.administration_id);

-- name: list_durations_of_organisation
-- By resource: seconds of a full read, and of each row, in the newest runs.
SELECT rr.resource, avg(extract(epoch FROM rr.finished_at - rr.started_at))::float8,
       (sum(extract(epoch FROM rr.finished_at - rr.started_at))
        / nullif(sum(greatest(rr.lines, rr.rows)), 0))::float8
  FROM (SELECT id FROM sync_run
         WHERE organisation_id = %(organisation)s AND state = %(succeeded)s AND finished_at IS NOT NULL
         ORDER BY finished_at DESC LIMIT %(limit)s) AS recent
  JOIN sync_run_resource rr ON rr.run_id = recent.id
 WHERE rr.state = %(done)s AND rr.mode = %(full)s AND rr.finished_at IS NOT NULL AND rr.started_at IS NOT NULL
 GROUP BY rr.resource;
