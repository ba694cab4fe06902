-- Do the books agree with themselves and with the source? Asked after something changed.

-- name: list_unbalanced_entries
-- Of the entries that count: a draft may be incomplete, and an entry of a statistical ledger has one side.
SELECT entry.external_id, entry.journal, entry.number, line.difference
  FROM (SELECT administration_id, entry, sum(debit - credit) AS difference FROM books_entry_line
         WHERE administration_id = %(administration)s AND deleted_at IS NULL
         GROUP BY administration_id, entry HAVING sum(debit - credit) <> 0) line
  JOIN books_entry entry ON entry.administration_id = line.administration_id AND entry.external_id = line.entry
 WHERE entry.administration_id = %(administration)s AND entry.deleted_at IS NULL
   AND entry.status = %(posted)s AND entry.balance_type = %(actual)s
 ORDER BY entry.external_id LIMIT %(limit)s;

-- name: list_entries_with_another_total
-- Posted entries whose lines balance and are not the total that the source states; those that do not balance are
-- another problem. 0 and 0 is how a source states no total, and a total may be in the entry's own currency.
-- Entries and lines are grouped together instead of joined: right after a first import the statistics know of no
-- rows, and a join would then read all lines for each entry.
SELECT entry, max(journal), max(number), sum(debit_total), sum(debit)
  FROM (SELECT external_id AS entry, journal, number, debit_total, credit_total,
               0 AS debit, 0 AS credit, 0 AS foreign_debit, 0 AS foreign_credit
          FROM books_entry
         WHERE administration_id = %(administration)s AND deleted_at IS NULL
           AND status = %(posted)s AND balance_type = %(actual)s
        UNION ALL
        SELECT entry, NULL, NULL, 0, 0, debit, credit, coalesce(debit_in_currency, 0), coalesce(credit_in_currency, 0)
          FROM books_entry_line WHERE administration_id = %(administration)s AND deleted_at IS NULL) part
 GROUP BY entry
HAVING sum(debit) = sum(credit) AND (sum(debit_total) <> 0 OR sum(credit_total) <> 0)
   AND (sum(debit_total), sum(credit_total)) <> (sum(debit), sum(credit))
   AND (sum(debit_total), sum(credit_total)) <> (sum(foreign_debit), sum(foreign_credit))
 ORDER BY entry LIMIT %(limit)s;

-- name: count_rejected_records
SELECT resource, count(*), min(reason) FROM sync_rejected_record
 WHERE organisation_id = %(organisation)s AND administration_id = %(administration)s GROUP BY resource;

-- name: list_changed_closed_periods
WITH changes AS (
  SELECT period, left_period, run_id FROM sync_change
   WHERE administration_id = %(administration)s AND at > now() - interval '30 days' AND in_closed_period
     AND resource = ANY(%(resources)s)
)
SELECT period, count(*), max(run_id)
  FROM (SELECT period, run_id FROM changes
        UNION ALL SELECT left_period, run_id FROM changes WHERE left_period <> '') changed
 GROUP BY period ORDER BY period;

-- name: has_changes_since_last_check
WITH since AS (
  SELECT coalesce(max(id), 0) AS id, coalesce(max(created_at), '-infinity') AS created_at FROM (
    SELECT id, created_at FROM sync_run
     WHERE administration_id = %(administration)s AND state = %(succeeded)s AND id <> %(run)s
     ORDER BY created_at DESC LIMIT 1
  ) newest
)
SELECT EXISTS (SELECT FROM since JOIN sync_change change
                   ON change.administration_id = %(administration)s AND change.run_id > since.id)
    OR EXISTS (SELECT FROM since JOIN sync_run run
                   ON run.administration_id = %(administration)s AND run.created_at > since.created_at
                 JOIN sync_run_resource run_resource ON run_resource.run_id = run.id
                WHERE run_resource.added + run_resource.changed + run_resource.deleted + run_resource.rejected
                      + run_resource.renormalised > 0);
