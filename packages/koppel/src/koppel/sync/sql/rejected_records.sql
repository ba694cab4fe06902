-- Records that could not be understood, with their bytes.

-- name: upsert_rejected_record
INSERT INTO sync_rejected_record (organisation_id, administration_id, run_id, resource, external_id, reason, raw, at)
VALUES (%(organisation)s, %(administration)s, %(run)s, %(resource)s, %(key)s, %(reason)s, %(raw)s, now())
    ON CONFLICT (administration_id, resource, external_id)
    DO UPDATE SET run_id = excluded.run_id, reason = excluded.reason, raw = excluded.raw, at = now();

-- name: delete_older_rejected_records
DELETE FROM sync_rejected_record
 WHERE administration_id = %(administration)s AND resource = ANY(%(resources)s)
   AND run_id <> %(run)s AND at < %(before)s;

-- name: delete_staged_rejected_records
-- In a WITH clause: those that are staged now, as they were normalised.
DELETE FROM sync_rejected_record
 WHERE administration_id = %(administration)s AND resource = %(resource)s
   AND external_id IN (SELECT external_id FROM {staged});
