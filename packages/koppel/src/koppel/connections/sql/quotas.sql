-- The quotas of vendors, in installation scope. Rows are locked in the order of their keys.

-- name: lock_quotas
-- With each quota the state of its app registration as a whole, and the database's time.
SELECT quota.app_id, quota.company, quota.state::text, app.state::text, extract(epoch FROM clock_timestamp())::float8
  FROM connections_rate_limit quota
  LEFT JOIN connections_rate_limit app ON app.app_id = quota.app_id AND app.company = ''
 WHERE (quota.app_id, quota.company) IN (SELECT * FROM unnest(%(app_ids)s::bigint[], %(companies)s::text[]))
 ORDER BY quota.app_id, quota.company FOR UPDATE OF quota

-- name: add_quotas
INSERT INTO connections_rate_limit (app_id, company, state, updated_at)
SELECT app_id, company, '{}', now()
  FROM unnest(%(app_ids)s::bigint[], %(companies)s::text[]) AS new (app_id, company) ORDER BY 1, 2
    ON CONFLICT DO NOTHING

-- name: store_quotas
UPDATE connections_rate_limit quota SET state = new.state::jsonb, updated_at = now()
  FROM unnest(%(app_ids)s::bigint[], %(companies)s::text[], %(states)s::text[]) AS new (app_id, company, state)
 WHERE quota.app_id = new.app_id AND quota.company = new.company
