-- The log of changes. `{period}`, `{is_closed}` and `{left_period}` are the columns of the period, which differ by
-- resource.

-- name: log_staged_records
-- In a WITH clause, before the staged records are merged. A record that was deleted and is back counts as added.
-- One that only another version of normalisation reads anew did not change: the first 32 bytes are equal.
INSERT INTO sync_change (organisation_id, administration_id, run_id, resource, external_id, kind, at, before, after,
                         period, in_closed_period, left_period, normalisation_version)
SELECT %(organisation)s, %(administration)s, %(run)s, %(resource)s, incoming.external_id,
       CASE WHEN row.external_id IS NULL OR row.deleted_at IS NOT NULL THEN %(added)s ELSE %(changed)s END,
       now(), row.raw, incoming.raw, {period}, {is_closed}, {left_period}, {version}
  FROM {staged} incoming
  LEFT JOIN {table} row ON row.administration_id = %(administration)s AND row.external_id = incoming.external_id
 WHERE row.external_id IS NULL OR row.deleted_at IS NOT NULL
    OR substr(row.content_hash, 1, 32) <> substr(incoming.content_hash, 1, 32);

-- name: log_deleted_records
INSERT INTO sync_change (organisation_id, administration_id, run_id, resource, external_id, kind, at, before, after,
                         period, in_closed_period, left_period, normalisation_version)
SELECT %(organisation)s, %(administration)s, %(run)s, %(resource)s, row.external_id, %(deleted)s, now(), row.raw, NULL,
       {period}, {is_closed}, '', {version}
  FROM {table} row
 WHERE row.administration_id = %(administration)s AND row.external_id = ANY(%(keys)b);

-- name: is_period_closed
-- An expression of `{period}`.
EXISTS (SELECT FROM books_period period
         WHERE period.administration_id = %(administration)s AND period.period = {period} AND period.closed);

-- name: get_period_of_entry_line
-- An expression. A line that stayed as it was when its entry moved to another period does not know of it;
-- the entry does.
coalesce((SELECT entry.partition FROM books_entry entry
           WHERE entry.administration_id = %(administration)s AND entry.external_id = row.entry), row.partition);

-- name: get_period_of_changed_entry
-- An expression. An entry that left a closed period changed that one.
CASE WHEN row.deleted_at IS NULL AND {was_closed} AND NOT {is_closed} THEN row.partition ELSE incoming.partition END;

-- name: get_left_period_of_changed_entry
-- An expression. An entry that moved from a closed period to another closed one changed both.
CASE WHEN row.deleted_at IS NULL AND row.partition <> incoming.partition AND {was_closed} AND {is_closed}
     THEN row.partition ELSE '' END;

-- name: is_period_of_changed_entry_closed
{is_closed} OR (row.deleted_at IS NULL AND {was_closed});

-- name: get_normalisation_version
-- An expression: the two bytes after the digest.
get_byte({content_hash}, 32) * 256 + get_byte({content_hash}, 33);
