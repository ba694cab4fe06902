-- Reports of one administration. Only posted entries of the actual ledger count.
-- `{series}`: one separately stated balance of an account (per ledger, branch, subaccount).

-- name: balance_series_expression
-- The key without its period: balances with equal result form one series.
CASE WHEN right(external_id, length(period)) = period THEN left(external_id, -length(period))
     ELSE replace(external_id, period, '') END;

-- name: trial_balance
-- Sources may state a balance only for periods in which it moved: before the first of them the balance was that one's
-- opening.
WITH stated AS (
  SELECT account, {series} AS series, period, opening, closing
  FROM books_balance
  WHERE administration_id = %(administration)s AND deleted_at IS NULL AND balance_type = %(actual)s
    AND left(period, 4) = %(year)s
), first AS (
  SELECT DISTINCT ON (account, series) account, series, opening FROM stated ORDER BY account, series, period
), last AS (
  SELECT DISTINCT ON (account, series) account, series, closing
  FROM stated WHERE period <= %(until)s ORDER BY account, series, period DESC
), opening AS (
  SELECT account, sum(opening) AS amount FROM first GROUP BY account
), closing AS (
  SELECT account, sum(coalesce(last.closing, first.opening)) AS amount
  FROM first LEFT JOIN last USING (account, series) GROUP BY account
), movement AS (
  SELECT line.account, sum(line.debit) FILTER (WHERE entry.period >= %(since)s) AS debit,
    sum(line.credit) FILTER (WHERE entry.period >= %(since)s) AS credit,
    sum(line.debit - line.credit) FILTER (WHERE entry.period < %(since)s) AS earlier
  FROM books_entry_line line
  JOIN books_entry entry ON entry.administration_id = line.administration_id AND entry.external_id = line.entry
  WHERE line.administration_id = %(administration)s AND line.deleted_at IS NULL AND entry.deleted_at IS NULL
    AND entry.status = %(posted)s AND entry.balance_type = %(actual)s
    AND left(entry.period, 4) = %(year)s AND entry.period <= %(until)s
  GROUP BY line.account
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
WITH stated AS (
  SELECT left(period, 4) AS year, account, {series} AS series, period, opening, closing
  FROM books_balance
  WHERE administration_id = %(administration)s AND deleted_at IS NULL AND balance_type = %(actual)s
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
), movement AS (
  SELECT left(entry.period, 4) AS year, line.account, sum(line.debit - line.credit) AS amount
  FROM books_entry_line line
  JOIN books_entry entry ON entry.administration_id = line.administration_id AND entry.external_id = line.entry
  WHERE line.administration_id = %(administration)s AND line.deleted_at IS NULL AND entry.deleted_at IS NULL
    AND entry.status = %(posted)s AND entry.balance_type = %(actual)s
  GROUP BY 1, 2
)
SELECT * FROM (
  SELECT year, account, coalesce(opening.amount, 0) + coalesce(movement.amount, 0) - closing.amount AS difference
  FROM closing LEFT JOIN opening USING (year, account) LEFT JOIN movement USING (year, account)
) compared WHERE difference <> 0 ORDER BY year, account;

-- name: list_unbalanced_openings
-- Years whose opening balances do not add up to zero.
SELECT left(period, 4) AS year, sum(opening) FROM (
  SELECT DISTINCT ON (left(period, 4), account, {series}) period, opening
  FROM books_balance
  WHERE administration_id = %(administration)s AND deleted_at IS NULL AND balance_type = %(actual)s
  ORDER BY left(period, 4), account, {series}, period
) first GROUP BY 1 HAVING sum(opening) <> 0 ORDER BY 1;

-- name: list_movements_by_period
SELECT line.account, entry.period, sum(line.debit - line.credit)
FROM books_entry_line line
JOIN books_entry entry ON entry.administration_id = line.administration_id AND entry.external_id = line.entry
WHERE line.administration_id = %(administration)s AND line.deleted_at IS NULL AND entry.deleted_at IS NULL
  AND entry.status = %(posted)s AND entry.balance_type = %(actual)s AND left(entry.period, 4) = %(year)s
GROUP BY 1, 2;

-- name: list_results_by_period
-- Also of accounts that were deleted at the source, as in the trial balance: their entries stay. Without the entries
-- that close the year: the last ones of its last period, when all accounts end at zero by them, and their other side
-- is on liabilities, to which equity belongs.
WITH chart AS (
  SELECT DISTINCT ON (code) code, kind FROM books_account
  WHERE administration_id = %(administration)s ORDER BY code, deleted_at NULLS FIRST
), booked AS (
  SELECT entry.external_id AS entry, entry.booked_on, entry.period, line.account, chart.kind,
    sum(line.debit - line.credit) AS amount
  FROM books_entry entry
  JOIN books_entry_line line ON line.administration_id = entry.administration_id AND line.entry = entry.external_id
    AND line.deleted_at IS NULL
  JOIN chart ON chart.code = line.account
  WHERE entry.administration_id = %(administration)s AND entry.deleted_at IS NULL
    AND entry.status = %(posted)s AND entry.balance_type = %(actual)s AND left(entry.period, 4) = %(year)s
    AND chart.kind IN (%(income)s, %(expense)s)
  GROUP BY 1, 2, 3, 4, 5
), closed AS (
  SELECT max(period) AS period FROM books_period
  WHERE administration_id = %(administration)s AND deleted_at IS NULL AND left(period, 4) = %(year)s
    AND NOT EXISTS (SELECT FROM booked GROUP BY account HAVING sum(amount) <> 0)
), last AS (
  SELECT entry, booked_on, bool_and(is_last) AS ends_accounts FROM (
    SELECT entry, booked_on, row_number() OVER (
      PARTITION BY account ORDER BY booked.period DESC, booked_on DESC, entry DESC) = 1 AS is_last
    FROM booked WHERE amount <> 0
  ) line GROUP BY entry, booked_on
), closing AS (
  SELECT last.entry FROM last JOIN closed ON true
  WHERE last.ends_accounts
    AND NOT EXISTS (SELECT FROM last later
                     WHERE (later.booked_on, later.entry) > (last.booked_on, last.entry) AND NOT later.ends_accounts)
    AND EXISTS (SELECT FROM booked WHERE booked.entry = last.entry AND booked.period = closed.period)
    AND NOT EXISTS (
      SELECT FROM books_entry_line line JOIN chart ON chart.code = line.account
      WHERE line.administration_id = %(administration)s AND line.entry = last.entry AND line.deleted_at IS NULL
        AND chart.kind NOT IN (%(income)s, %(expense)s, %(liability)s))
)
SELECT period,
  coalesce(-sum(amount) FILTER (WHERE kind = %(income)s), 0), coalesce(sum(amount) FILTER (WHERE kind = %(expense)s), 0)
FROM booked WHERE entry NOT IN (SELECT entry FROM closing)
GROUP BY period ORDER BY period;

-- name: list_fiscal_years
SELECT left(period, 4), max(period) FROM (
  SELECT period FROM books_entry
   WHERE administration_id = %(administration)s AND deleted_at IS NULL AND balance_type = %(actual)s
  UNION
  SELECT period FROM books_balance
   WHERE administration_id = %(administration)s AND deleted_at IS NULL AND balance_type = %(actual)s
) used WHERE period ~ '^[0-9]{6}$' GROUP BY 1 ORDER BY 1 DESC;
