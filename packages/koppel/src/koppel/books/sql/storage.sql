-- How rows come into the books and leave them. `{table}` is a table of the books, `{staged}` its staging table.

-- name: list_content_hashes
-- NULL for a row that is marked as deleted, as it comes back whatever its hash.
SELECT external_id, CASE WHEN deleted_at IS NULL THEN content_hash END FROM {table}
 WHERE administration_id = %(administration)s AND external_id = ANY(%(keys)b);

-- name: insert_staged_rows
INSERT INTO {table} (organisation_id, administration_id, first_seen, last_changed, deleted_at, {columns})
SELECT %(organisation)s, %(administration)s, %(at)s, %(at)s, NULL, {selected} FROM {staged};

-- name: upsert_staged_rows
INSERT INTO {table} (organisation_id, administration_id, first_seen, last_changed, deleted_at, {columns})
SELECT %(organisation)s, %(administration)s, %(at)s, %(at)s, NULL, {selected} FROM {staged}
    ON CONFLICT (administration_id, external_id) DO UPDATE
   SET last_changed = excluded.last_changed, deleted_at = NULL, {replacements};

-- name: has_staging_table
SELECT to_regclass(%(name)s) IS NOT NULL;

-- name: create_staging_table
-- Without TOAST: see staging.py.
CREATE TEMP TABLE {staged} () ON COMMIT DELETE ROWS; ALTER TABLE {staged} {additions};

-- name: create_staging_table_for_long_rows
DROP TABLE IF EXISTS {staged}; CREATE TEMP TABLE {staged} ({typed_columns}) ON COMMIT DROP;

-- name: copy_rows
COPY {staged} ({columns}) FROM STDIN (FORMAT binary);

-- name: erase_rows
-- By key: a row's physical place (ctid) means another row in each partition.
DELETE FROM {table}
 WHERE organisation_id = %(organisation)s AND administration_id = %(administration)s AND external_id IN (
  SELECT external_id FROM {table} WHERE administration_id = %(administration)s LIMIT %(limit)s);

-- name: count_outdated_rows
SELECT count(*) FROM {table}
 WHERE administration_id = %(administration)s AND substr(content_hash, %(version_from)s) <> %(version)s;

-- name: list_outdated_rows
-- Also rows that are marked as deleted. A page that writes a row at the same moment waits, and this version stays.
SELECT external_id, raw, content_hash, {parent} FROM {table}
 WHERE administration_id = %(administration)s AND external_id > %(after)s
   AND substr(content_hash, %(version_from)s) <> %(version)s
 ORDER BY external_id LIMIT %(limit)s FOR NO KEY UPDATE;

-- name: update_renormalised_row
UPDATE {table} SET last_changed = %(at)s, content_hash = %(row_hash)s, {assignments}
 WHERE administration_id = %(administration)s AND external_id = %(row_key)s;
