-- How far each resource got, and what a run counts of it. `{…}` are columns, from the fields of CheckpointState and
-- ResourceDelta: what a page stores is declared there alone.

-- name: insert_run_resources
INSERT INTO sync_run_resource (organisation_id, run_id, resource, position, state, mode, pages, rows, lines,
                               added, changed, deleted, rejected, renormalised, reason)
SELECT %(organisation)s, %(run)s, resource, ordinal - 1, CASE reason WHEN '' THEN %(waiting)s ELSE %(skipped)s END, '',
       0, 0, 0, 0, 0, 0, 0, 0, reason
  FROM unnest(%(resources)b::text[], %(reasons)b::text[]) WITH ORDINALITY AS planned (resource, reason, ordinal)
    ON CONFLICT (run_id, resource) DO NOTHING;

-- name: list_run_resources
SELECT part.resource, part.state, part.reason, part.pages, checkpoint.id, {checkpoint_columns} FROM sync_run_resource part
  LEFT JOIN sync_checkpoint checkpoint
    ON checkpoint.administration_id = %(administration)s AND checkpoint.resource = part.resource
 WHERE part.run_id = %(run)s;

-- name: save_checkpoints
WITH kept AS (
  SELECT * FROM json_to_recordset(%(rows)s::json) AS (resource text, {typed_columns})
), counted AS (
  UPDATE sync_run_resource part
     SET {increments}, state = kept.state, mode = kept.mode,
         expected_total = coalesce(kept.expected_total, part.expected_total),
         started_at = coalesce(part.started_at, now()),
         finished_at = CASE WHEN kept.state = %(done)s THEN now() END
    FROM kept WHERE part.run_id = %(run)s AND part.resource = kept.resource)
INSERT INTO sync_checkpoint
  (organisation_id, administration_id, resource, {columns}, available, unavailable_reason)
SELECT %(organisation)s, %(administration)s, resource, {columns}, true, '' FROM kept
    ON CONFLICT (administration_id, resource) DO UPDATE
   SET {replacements}, available = true, unavailable_reason = '';

-- name: finish_run_resource
UPDATE sync_run_resource
   SET state = %(state)s, reason = %(reason)s, started_at = coalesce(started_at, now()), finished_at = now()
 WHERE run_id = %(run)s AND resource = %(resource)s;

-- name: reset_checkpoint_cursor
UPDATE sync_checkpoint
   SET resume_cursor = '', is_verifying_deletes = false, seen_count = 0,
       fiscal_years_back = CASE WHEN resume_cursor <> '' AND read_mode = %(full)s THEN -1 ELSE fiscal_years_back END
 WHERE administration_id = %(administration)s AND resource = %(resource)s;

-- name: mark_resource_unavailable
INSERT INTO sync_checkpoint (organisation_id, administration_id, resource, resume_cursor, read_mode, read_id,
                             incremental_cursor, fiscal_years_back, is_verifying_deletes, is_inconsistent, seen_count,
                             available, unavailable_reason)
VALUES (%(organisation)s, %(administration)s, %(resource)s, '', '', 0, '', 0, false, false, 0, false, %(reason)s)
    ON CONFLICT (administration_id, resource)
    DO UPDATE SET available = false, unavailable_reason = excluded.unavailable_reason;
