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

-- name: read_token_pause
-- How many seconds the token endpoint of an app registration must not be called.
SELECT (state->>'blocked_until')::float8 - extract(epoch FROM clock_timestamp())::float8
  FROM connections_rate_limit WHERE app_id = %(app_id)s AND company = %(key)s

-- name: store_token_pause
INSERT INTO connections_rate_limit AS quota (app_id, company, state, updated_at)
VALUES (%(app_id)s, %(key)s,
        jsonb_build_object('blocked_until', extract(epoch FROM clock_timestamp())::float8 + %(seconds)s::float8), now())
    ON CONFLICT (app_id, company) DO UPDATE SET updated_at = now(), state = jsonb_build_object('blocked_until',
       greatest((quota.state->>'blocked_until')::float8, (excluded.state->>'blocked_until')::float8))
