-- Reports of one administration. Only posted entries of the actual ledger count.
-- The first statements are parts of the later ones, which name them in braces.

-- name: balance_series
-- One separately stated balance of an account (per ledger, branch, subaccount): the key without its period.
CASE WHEN right(external_id, length(period)) = period THEN left(external_id, -length(period))
     ELSE replace(external_id, period, '') END;

-- name: up_to_period
left(period, 4) = %(year)s AND period <= %(until)s;

-- name: stated_balances
-- By year and account what the source states: the opening balance of the first period, the closing of the last.
stated AS (
  SELECT left(period, 4) AS year, account, {balance_series} AS series, period, opening, closing
  FROM books_balance
  WHERE administration_id = %(administration)s AND deleted_at IS NULL AND balance_type = %(actual)s
    AND {periods}
), opening AS (
  SELECT year, account, sum(opening) AS amount FROM (
    SELECT DISTINCT ON (year, account, series) year, account, opening
    FROM stated ORDER BY year, account, series, period
  ) first GROUP BY year, account
), closing AS (
  SELECT year, account, sum(closing) AS amount FROM (
    SELECT DISTINCT ON (year, account, series) year, account, closing
    FROM stated ORDER BY year, account, series, period DESC
  ) last GROUP BY year, account
);

-- name: posted_lines
(
  SELECT line.account, entry.period, line.debit, line.credit
  FROM books_entry_line line
  JOIN books_entry entry ON entry.administration_id = line.administration_id AND entry.external_id = line.entry
  WHERE line.administration_id = %(administration)s AND line.deleted_at IS NULL AND entry.deleted_at IS NULL
    AND entry.status = %(posted)s AND entry.balance_type = %(actual)s
) posted;

-- name: trial_balance
WITH {stated_balances}, movement AS (
  SELECT account, sum(debit) FILTER (WHERE period >= %(since)s) AS debit,
    sum(credit) FILTER (WHERE period >= %(since)s) AS credit,
    sum(debit - credit) FILTER (WHERE period < %(since)s) AS earlier
  FROM {posted_lines} WHERE {up_to_period}
  GROUP BY account
), used AS (
  SELECT account FROM opening UNION SELECT account FROM closing UNION SELECT account FROM movement
)
SELECT used.account, coalesce(chart.name, ''), coalesce(chart.kind, ''),
  coalesce(opening.amount, 0) + coalesce(movement.earlier, 0),
  coalesce(movement.debit, 0), coalesce(movement.credit, 0), closing.amount
FROM used
LEFT JOIN opening USING (account) LEFT JOIN closing USING (account) LEFT JOIN movement USING (account)
LEFT JOIN LATERAL (
  SELECT name, kind FROM books_account
  WHERE administration_id = %(administration)s AND code = used.account ORDER BY deleted_at NULLS FIRST LIMIT 1
) chart ON true
ORDER BY used.account;

-- name: list_differing_accounts
WITH {stated_balances}, movement AS (
  SELECT left(period, 4) AS year, account, sum(debit - credit) AS amount FROM {posted_lines} GROUP BY 1, 2
)
SELECT * FROM (
  SELECT year, account, coalesce(opening.amount, 0) + coalesce(movement.amount, 0) - closing.amount AS difference
  FROM closing LEFT JOIN opening USING (year, account) LEFT JOIN movement USING (year, account)
) compared WHERE difference <> 0 ORDER BY year, account;

-- name: list_movements_by_period
SELECT account, period, sum(debit - credit) FROM {posted_lines} WHERE left(period, 4) = %(year)s GROUP BY 1, 2;

-- name: list_results_by_period
SELECT posted.period,
  coalesce(sum(posted.credit - posted.debit) FILTER (WHERE chart.kind = %(income)s), 0),
  coalesce(sum(posted.debit - posted.credit) FILTER (WHERE chart.kind = %(expense)s), 0)
FROM {posted_lines}
JOIN books_account chart ON chart.administration_id = %(administration)s AND chart.code = posted.account
  AND chart.deleted_at IS NULL
WHERE left(posted.period, 4) = %(year)s
GROUP BY posted.period ORDER BY posted.period;

-- name: list_fiscal_years
SELECT left(period, 4), max(period) FROM (
  SELECT period FROM books_entry WHERE administration_id = %(administration)s AND deleted_at IS NULL
  UNION SELECT period FROM books_balance WHERE administration_id = %(administration)s AND deleted_at IS NULL
) used GROUP BY 1 ORDER BY 1 DESC;
