-- Which rows the source no longer has, and marking them.

-- name: list_present_keys
SELECT external_id FROM {table} WHERE administration_id = %(administration)s AND deleted_at IS NULL;

-- name: list_present_keys_of_partitions
SELECT external_id FROM {table}
 WHERE administration_id = %(administration)s AND deleted_at IS NULL AND partition = ANY(%(partitions)s);

-- name: list_present_line_keys_of_partitions
-- A line is in the partition of its entry.
SELECT line.external_id FROM books_entry entry
  JOIN books_entry_line line
    ON line.administration_id = entry.administration_id AND line.entry = entry.external_id
 WHERE entry.administration_id = %(administration)s AND entry.partition = ANY(%(partitions)s)
   AND line.deleted_at IS NULL;

-- name: list_given_keys
SELECT unnest(%(keys)b::text[]);

-- name: list_existing_keys
SELECT external_id FROM {table}
 WHERE administration_id = %(administration)s AND external_id = ANY(%(keys)b) AND deleted_at IS NULL ORDER BY 1;

-- name: list_missing_line_keys
SELECT external_id FROM books_entry_line
 WHERE administration_id = %(administration)s AND entry = ANY(%(entries)b) AND deleted_at IS NULL
EXCEPT SELECT unnest(%(lines)b::text[]) ORDER BY 1;

-- name: mark_rows_deleted
UPDATE {table} SET deleted_at = %(at)s WHERE administration_id = %(administration)s AND external_id = ANY(%(keys)b);
