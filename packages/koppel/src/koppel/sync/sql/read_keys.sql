-- The keys that a full read of several pages has read so far.

-- name: insert_read_keys
INSERT INTO sync_read_key (organisation_id, administration_id, resource, read_id, external_id)
SELECT %(organisation)s, %(administration)s, %(resource)s, %(read)s, unnest(%(keys)b::text[]) ON CONFLICT DO NOTHING;

-- name: list_read_keys
SELECT external_id FROM sync_read_key
 WHERE administration_id = %(administration)s AND resource = %(resource)s AND read_id = %(read)s;

-- name: count_read_keys
SELECT count(*) FROM sync_read_key
 WHERE administration_id = %(administration)s AND resource = ANY(%(resources)s) AND read_id = %(read)s;

-- name: delete_read_keys
DELETE FROM sync_read_key WHERE administration_id = %(administration)s AND resource = ANY(%(resources)s);
