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

-- name: ledger_type_expression
-- An expression: the type of an entry's ledger as the journals state it, also after they were deleted; without such
-- a journal, the type that the entry's record states.
coalesce((SELECT journal.balance_type FROM books_journal journal
           WHERE journal.administration_id = %(administration)s AND journal.ledger = {ledger}
           ORDER BY journal.deleted_at NULLS FIRST LIMIT 1), {stated});

-- name: line_currency_expression
-- An expression: the currency that a line states, else that of its entry, which is written first.
coalesce({stated}, (SELECT entry.currency FROM books_entry entry
                     WHERE entry.administration_id = %(administration)s AND entry.external_id = {entry}));

-- name: update_line_currencies
-- Before entries are merged: their lines follow another currency, except those that stated one of their own.
UPDATE books_entry_line line SET currency = incoming.currency, last_changed = %(at)s
  FROM {staged} incoming
  JOIN books_entry entry ON entry.administration_id = %(administration)s AND entry.external_id = incoming.external_id
 WHERE line.administration_id = %(administration)s AND line.entry = incoming.external_id
   AND entry.currency IS DISTINCT FROM incoming.currency AND line.currency IS NOT DISTINCT FROM entry.currency;

-- name: update_ledger_types
-- After journals changed.
UPDATE books_entry entry SET balance_type = ledger.balance_type, last_changed = %(at)s
  FROM (SELECT DISTINCT ON (ledger) ledger, balance_type FROM books_journal
         WHERE administration_id = %(administration)s ORDER BY ledger, deleted_at NULLS FIRST) ledger
 WHERE entry.administration_id = %(administration)s AND entry.ledger = ledger.ledger
   AND entry.balance_type <> ledger.balance_type;

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
