-- What a verification reads: links with their entries and values, and entries outside the chain. The values are those of
-- the function audit_values, written out here because whoever could change an entry could change that function too.

-- name: linked_entries
SELECT l.position, l.entry_id, l.at, l.digest, l.link, e.id, e.subject_kind, e.subject_id, e.salt, e.parts::text,
       ARRAY[['id', e.id::text], ['organisation_id', e.organisation_id::text],
             ['at', (extract(epoch FROM e.at) * 1000000)::bigint::text],
             ['actor_kind', e.actor_kind::text], ['actor_id', e.actor_id::text], ['actor_name', e.actor_name],
             ['ip_address', e.ip_address], ['interface', e.interface::text], ['action', e.action::text],
             ['subject_kind', e.subject_kind::text], ['subject_id', e.subject_id::text],
             ['subject_name', e.subject_name]],
       ARRAY(SELECT ARRAY[jsonb_build_array('details', o.key, i.key)::text, coalesce(i.value, o.value)::text]
               FROM jsonb_each(e.details) o
               LEFT JOIN LATERAL jsonb_each(CASE WHEN jsonb_typeof(o.value) = 'object' THEN o.value END) i ON true)
  FROM audit_link l
  LEFT JOIN audit_entry e ON e.organisation_id = l.organisation_id AND e.id = l.entry_id
 WHERE l.organisation_id = %(organisation_id)s
 ORDER BY l.position

-- name: unlinked_entries
SELECT e.id, p.entry_id IS NOT NULL
  FROM audit_entry e
  LEFT JOIN audit_pending_link p ON p.organisation_id = e.organisation_id AND p.entry_id = e.id
 WHERE e.organisation_id = %(organisation_id)s
   AND NOT EXISTS (SELECT FROM audit_link l WHERE l.organisation_id = e.organisation_id AND l.entry_id = e.id)
 ORDER BY e.id

-- name: pending_without_entry
SELECT p.entry_id FROM audit_pending_link p
 WHERE p.organisation_id = %(organisation_id)s
   AND NOT EXISTS (SELECT FROM audit_entry e WHERE e.organisation_id = p.organisation_id AND e.id = p.entry_id)
 ORDER BY p.entry_id

-- name: recorded_deletions
SELECT e.id, e.action, e.at, e.subject_id, e.details ->> 'through', e.details ->> 'company'
  FROM audit_entry e
  JOIN audit_link l ON l.organisation_id = e.organisation_id AND l.entry_id = e.id
 WHERE e.organisation_id = %(organisation_id)s AND e.action = ANY (%(actions)s)
 ORDER BY e.at

-- name: oldest_unsigned
SELECT min(at) FROM (
  SELECT l.at
    FROM audit_chain c
    LEFT JOIN LATERAL (SELECT max(s.length) AS length FROM audit_signed_head s
                        WHERE s.organisation_id = c.organisation_id) signed ON true
    JOIN audit_link l ON l.organisation_id = c.organisation_id AND l.position = coalesce(signed.length, 0) + 1
  UNION ALL
  SELECT e.at FROM audit_pending_link p
    JOIN audit_entry e ON e.organisation_id = p.organisation_id AND e.id = p.entry_id
) AS unsigned

-- name: chains
SELECT organisation_id FROM audit_entry
UNION SELECT organisation_id FROM audit_link
UNION SELECT organisation_id FROM audit_chain
UNION SELECT organisation_id FROM audit_signed_head
 ORDER BY 1
