-- What a session of a vendor begins with.

-- name: read_session_grant
SELECT g.connection_id, g.company_id, g.is_pending_transfer,
       a.id, a.organisation_id, a.connector, a.environment, a.consent_mode, a.client_id, a.client_secret, a.base_urls
  FROM connections_grant g
  JOIN connections_connection c ON c.id = g.connection_id AND c.organisation_id = g.organisation_id
  JOIN connections_app_registration a ON a.id = c.app_id
 WHERE g.id = %(grant_id)s AND c.state <> %(removed)s

-- name: read_session_company
-- {described_columns} are those that a company's description fills.
SELECT grant_id, connection_id, external_id, name, code, routing, {described_columns}
  FROM connections_remote_company WHERE id = %(remote_company_id)s
