-- Reads of the books for pages and exports.

-- name: list_account_lines
-- The lines of an account in periods of a fiscal year, oldest first, with the sum of what was booked until then, and their number.
WITH card (entry, booked_on, period, journal, number, status, balance_type, description, reference,
           contact, module, debit, credit, running, place) AS (
  SELECT entry.external_id, entry.booked_on, entry.period, entry.journal, entry.number, entry.status,
    entry.balance_type, coalesce(nullif(line.description, ''), entry.description, ''), coalesce(line.reference, ''),
    coalesce(line.contact, ''), entry.module, line.debit, line.credit,
    sum(CASE WHEN entry.status = %(posted)s AND entry.balance_type = %(actual)s
             THEN line.debit - line.credit ELSE 0 END) OVER place,
    row_number() OVER place
  FROM books_entry_line line
  JOIN books_entry entry ON entry.administration_id = line.administration_id AND entry.external_id = line.entry
  WHERE line.administration_id = %(administration)s AND line.account = %(account)s
    AND line.deleted_at IS NULL AND entry.deleted_at IS NULL AND left(entry.period, 4) = %(year)s
    AND entry.period >= %(since)s AND entry.period <= %(until)s
  WINDOW place AS (ORDER BY entry.booked_on, entry.period, entry.external_id, line.line_number, line.external_id)
), named AS (
  -- The modules whose entries name a contact of this kind; NULL for a kind without any.
  SELECT kind, code, (SELECT module FROM unnest(%(modules)s::text[], %(kinds)s::text[]) AS subledger (module, contact_kind)
                       WHERE contact_kind = kind) AS module
  FROM books_contact
  WHERE %(search)s <> '' AND administration_id = %(administration)s AND name ILIKE %(pattern)s
)
SELECT card.*, count(*) OVER () FROM card
WHERE %(search)s = '' OR concat_ws(' ', journal, number, description, reference, contact) ILIKE %(pattern)s
  OR contact <> '' AND ((contact, module) IN (SELECT code, module FROM named)
                        OR module <> ALL (%(modules)s::text[]) AND contact IN (SELECT code FROM named))
ORDER BY place LIMIT %(limit)s OFFSET %(offset)s;

-- name: count_rows
SELECT {resource}, count(*) FROM {table} WHERE administration_id = %(administration)s AND deleted_at IS NULL;

-- name: list_lines_with_entry
-- A line without its entry has no status, so that it does not count, as in the trial balance.
SELECT {columns}
  FROM books_entry_line line
  LEFT JOIN books_entry entry ON entry.administration_id = line.administration_id AND entry.external_id = line.entry
    AND entry.deleted_at IS NULL
 WHERE line.administration_id = %(administration)s AND line.deleted_at IS NULL
 ORDER BY entry.booked_on, line.entry, line.line_number, line.external_id;
