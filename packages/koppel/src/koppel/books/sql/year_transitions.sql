-- How the years of one administration join: the balances that the source states, from year to year.

-- name: list_broken_transitions
-- Accounts of the balance sheet that open a year with another balance than they closed the one before, with the result
-- of that year as its result accounts close (a profit is negative), which an account of equity may have taken.
-- A year follows another by the days of their periods; by their names where the source states no days. Around a year
-- with entries and no stated balance, and around a missing one, nothing is known. Where a source states balances only
-- for periods with movement, the last stated one counts. A balance that a year does not state is zero there only if
-- the year is complete: it states balances that did not move, and its opening balances add up to zero.
WITH yearly AS MATERIALIZED (
  SELECT left(period, 4) AS year, account, {series} AS series,
    (array_agg(opening ORDER BY period))[1] AS opening, (array_agg(closing ORDER BY period DESC))[1] AS closing,
    bool_and(debit = 0 AND credit = 0 AND opening = closing) AS is_unmoved
  FROM books_balance
  WHERE administration_id = %(administration)s AND deleted_at IS NULL AND balance_type = %(actual)s
  GROUP BY 1, 2, 3
), stated AS (
  SELECT year, sum(opening) = 0 AND bool_or(is_unmoved AND opening <> 0) AS is_complete FROM yearly GROUP BY year
), named AS (
  SELECT left(period, 4) AS year, min(starts_on) AS starts_on, max(ends_on) AS ends_on, false AS has_entries
  FROM books_period WHERE administration_id = %(administration)s AND deleted_at IS NULL GROUP BY 1
  UNION ALL
  SELECT left(period, 4), NULL, NULL, true FROM books_entry
  WHERE administration_id = %(administration)s AND deleted_at IS NULL
    AND status = %(posted)s AND balance_type = %(actual)s AND period <> '' GROUP BY 1
  UNION ALL
  SELECT year, NULL, NULL, false FROM stated
), known AS (
  SELECT year, max(starts_on) AS starts_on, max(ends_on) AS ends_on,
    bool_or(has_entries) AND NOT bool_or(stated.year IS NOT NULL) AS is_unknown,
    coalesce(bool_or(stated.is_complete), false) AS is_complete
  FROM named LEFT JOIN stated USING (year) GROUP BY year
), chained AS (
  SELECT year, is_complete, sum(CASE WHEN follows THEN 0 ELSE 1 END) OVER (ORDER BY year) AS chain FROM (
    SELECT year, is_complete, NOT is_unknown AND NOT (lag(is_unknown) OVER w)
      AND coalesce((lag(ends_on) OVER w) + 1 >= starts_on, (lag(year) OVER w)::int + 1 = year::int) AS follows
    FROM known WINDOW w AS (ORDER BY year)
  ) compared
), years AS (
  SELECT year, chain,
    max(year) FILTER (WHERE is_complete) OVER (w ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS complete_before,
    min(year) FILTER (WHERE is_complete) OVER (w ROWS BETWEEN 1 FOLLOWING AND UNBOUNDED FOLLOWING) AS complete_after
  FROM chained WINDOW w AS (PARTITION BY chain ORDER BY year)
), linked AS (
  SELECT account, year, opening, closing, complete_before, complete_after,
    lag(year) OVER w AS before, lag(closing) OVER w AS closing_before, lead(year) OVER w AS after
  FROM yearly JOIN years USING (year) WINDOW w AS (PARTITION BY chain, account, series ORDER BY year)
), transition AS (
  SELECT year, account, opening, CASE WHEN before >= coalesce(complete_before, before) THEN closing_before ELSE 0 END
      AS closing_before, coalesce(before, '') AS before
  FROM linked WHERE coalesce(before, complete_before) IS NOT NULL
  UNION ALL
  SELECT complete_after, account, 0, closing, year
  FROM linked WHERE coalesce(complete_after < after, complete_after IS NOT NULL)
), chart AS (
  SELECT DISTINCT ON (code) code, kind FROM books_account
  WHERE administration_id = %(administration)s ORDER BY code, deleted_at NULLS FIRST
), summed AS (
  SELECT year, account, sum(opening) AS opening, sum(closing_before) AS closing_before, min(before) AS before
  FROM transition GROUP BY year, account
), preceding AS (
  SELECT year, lag(year) OVER (PARTITION BY chain ORDER BY year) AS before FROM years JOIN stated USING (year)
), result AS (
  SELECT preceding.year, sum(yearly.closing) AS amount
  FROM preceding JOIN yearly ON yearly.year = preceding.before JOIN chart ON chart.code = yearly.account
  WHERE chart.kind = ANY(%(result_kinds)s) GROUP BY 1
)
SELECT summed.year, preceding.before, summed.account, coalesce(chart.kind, ''), summed.closing_before, summed.opening,
  coalesce(result.amount, 0)
FROM summed JOIN preceding USING (year) LEFT JOIN chart ON chart.code = summed.account
LEFT JOIN result USING (year)
WHERE summed.opening <> summed.closing_before AND NOT coalesce(chart.kind, '') = ANY(%(result_kinds)s)
  AND (coalesce(chart.kind, '') <> '' OR summed.opening <> 0)
  AND NOT EXISTS (
    SELECT FROM books_entry_line line
    JOIN books_entry entry ON entry.administration_id = line.administration_id AND entry.external_id = line.entry
    WHERE line.administration_id = %(administration)s AND line.account = summed.account AND line.deleted_at IS NULL
      AND entry.deleted_at IS NULL AND entry.status = %(posted)s AND entry.balance_type = %(actual)s
      AND left(entry.period, 4) > summed.before AND left(entry.period, 4) < summed.year)
ORDER BY summed.year, summed.account;
