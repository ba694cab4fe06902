-- Writes of the log by the owner's functions, and reads that Django's query sets cannot express.

-- name: append
-- `{weaker}`: the commit would not wait for a synchronous standby.
SELECT audit_append(%(organisation)s, %(actor)s::jsonb, %(action)s, %(subject_kind)s, %(subject_id)s, %(subject_name)s,
                    %(details)s::jsonb),
       CASE WHEN {weaker} THEN set_config('synchronous_commit', 'on', true) END

-- name: link_pending
SELECT audit_link_pending(%(organisation)s, %(entries_max)s)

-- name: count_occurrence
INSERT INTO audit_occurrence AS o
  (organisation_id, action, subject_kind, subject_id, subject_name, addresses, count)
VALUES (%(organisation)s, %(action)s, %(kind)s, %(id)s, %(name)s, jsonb_build_array(%(address)s::text), 1)
ON CONFLICT (organisation_id, action, subject_kind, subject_id) DO UPDATE
   SET count = o.count + 1, last_at = now(),
       addresses = CASE WHEN o.addresses ? %(address)s::text
                          OR jsonb_array_length(o.addresses) >= %(addresses_max)s
                        THEN o.addresses ELSE o.addresses || to_jsonb(%(address)s::text) END
RETURNING count

-- name: actors
WITH RECURSIVE person(id) AS (
  (SELECT actor_id FROM audit_entry WHERE organisation_id = %(organisation)s
    AND actor_id IS NOT NULL ORDER BY actor_id LIMIT 1)
  UNION ALL
  SELECT (SELECT e.actor_id FROM audit_entry e WHERE e.organisation_id = %(organisation)s AND e.actor_id > person.id
           ORDER BY e.actor_id LIMIT 1) FROM person WHERE person.id IS NOT NULL)
SELECT person.id,
       (SELECT e.actor_name FROM audit_entry e WHERE e.organisation_id = %(organisation)s AND e.actor_id = person.id
         ORDER BY e.at DESC LIMIT 1)
  FROM person WHERE person.id IS NOT NULL
