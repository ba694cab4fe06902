-- Stored rows that another version of normalisation made. `current` has the versions of the installed connectors.

-- name: list_waiting_normalisations
-- Resources of administrations with stored data whose rows are not known to be of the current version.
WITH current AS (
  SELECT * FROM unnest(%(connectors)s::text[], %(resources)s::text[], %(versions)s::int[])
         AS versions (connector, resource, version)
)
SELECT administration.organisation_id, administration.id, current.resource
  FROM administrations_administration administration
  JOIN connections_connection link
    ON link.organisation_id = administration.organisation_id AND link.id = administration.connection_id
  JOIN current ON current.connector = link.connector
  LEFT JOIN sync_normalisation_state state
    ON state.administration_id = administration.id AND state.resource = current.resource
   AND state.version = current.version AND state.is_complete
 WHERE state.id IS NULL
   AND EXISTS (SELECT FROM sync_checkpoint WHERE sync_checkpoint.administration_id = administration.id)
 ORDER BY administration.id, current.resource;

-- name: insert_normalisation_states
-- Before the first page: an administration without stored data has no rows of another version.
INSERT INTO sync_normalisation_state
  (organisation_id, administration_id, resource, version, is_complete, last_key, renormalised, rejected)
SELECT %(organisation)s, %(administration)s, resource, version, true, '', 0, 0
  FROM unnest(%(resources)s::text[], %(versions)s::int[]) AS versions (resource, version)
 WHERE NOT EXISTS (SELECT FROM sync_checkpoint
                    WHERE organisation_id = %(organisation)s AND administration_id = %(administration)s)
    ON CONFLICT (administration_id, resource) DO NOTHING;
