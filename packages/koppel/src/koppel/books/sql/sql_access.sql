-- The schema `books` for programs that read by SQL, and the list of its readers. Run as the owner.

-- name: create_administrations_view
CREATE VIEW books.administrations WITH (security_barrier) AS
SELECT a.id AS administration_id, a.name, a.number, a.country, a.base_currency, a.client_number, a.sector, a.status,
       d.name AS division, a.complete_as_of
  FROM administrations_administration a
  LEFT JOIN organisations_division d ON d.id = a.division_id AND d.organisation_id = a.organisation_id
 WHERE NOT a.restricted;

-- name: create_view
CREATE VIEW books.{resource} WITH (security_barrier) AS
SELECT {columns} FROM {table}
 WHERE administration_id IN (SELECT id FROM administrations_administration WHERE NOT restricted);

-- name: drop_schema
DROP SCHEMA IF EXISTS books CASCADE;

-- name: create_schema
CREATE SCHEMA books;

-- name: is_schema_missing
SELECT to_regnamespace('books') IS NULL;

-- name: revoke_functions
REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA public FROM PUBLIC;

-- name: grant_schema
GRANT USAGE ON SCHEMA books TO {role};

-- name: grant_views
GRANT SELECT ON ALL TABLES IN SCHEMA books TO {role};

-- name: grant_functions
GRANT EXECUTE ON FUNCTION koppel_scope(), koppel_reader_organisation(name) TO {role};

-- name: has_reader_table
SELECT to_regclass('koppel_readers.reader') IS NOT NULL;

-- name: list_readers
SELECT role::text, created_at, created_by, role IN (SELECT rolname FROM pg_roles) FROM koppel_readers.reader
 WHERE organisation_id = %(organisation)s ORDER BY role;

-- name: list_roles_of_readers
SELECT role::text FROM koppel_readers.reader WHERE role IN (SELECT rolname FROM pg_roles);

-- name: has_reader
SELECT 1 FROM koppel_readers.reader WHERE role = %(role)s;

-- name: insert_reader
INSERT INTO koppel_readers.reader (role, organisation_id, created_by) VALUES (%(role)s, %(organisation)s, %(name)s);

-- name: delete_reader
DELETE FROM koppel_readers.reader WHERE role = %(role)s AND organisation_id = %(organisation)s RETURNING role;

-- name: has_role
SELECT 1 FROM pg_roles WHERE rolname = %(role)s;

-- name: terminate_sessions
SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %(role)s;

-- name: list_reader_roles
-- Of this database, of every organisation; none of another database on the same server.
SELECT rolname FROM pg_roles
 WHERE starts_with(rolname, %(prefix)s) AND has_database_privilege(oid, current_database(), 'CONNECT')
   AND has_schema_privilege(oid, (SELECT oid FROM pg_namespace WHERE nspname = 'books'), 'USAGE') ORDER BY 1;

-- name: list_other_open_databases
SELECT datname FROM pg_database
 WHERE datallowconn AND datname <> current_database() AND has_database_privilege(%(role)s, oid, 'CONNECT') ORDER BY 1;

-- name: get_privileges
SELECT current_database(), (SELECT pg_get_userbyid(relowner) FROM pg_class WHERE oid = to_regclass(%(table)s)),
       has_database_privilege(%(role)s, current_database(), 'CONNECT'),
       has_database_privilege(%(role)s, current_database(), 'TEMPORARY'),
       has_database_privilege(%(role)s, current_database(), 'CREATE'),
       has_schema_privilege(%(role)s, 'public', 'CREATE');

-- name: count_disturbing_functions
SELECT count(*) FROM pg_proc
 WHERE pronamespace = 'pg_catalog'::regnamespace AND proname ~ %(pattern)s AND proname <> ALL (%(never)s)
   AND has_function_privilege(%(role)s, oid, 'EXECUTE');

-- name: may_use_plpgsql
SELECT has_language_privilege(%(role)s, 'plpgsql', 'USAGE');

-- name: may_owner_end_sessions
SELECT bool_and(pg_has_role(c.relowner, role_of_owner, 'MEMBER'))
  FROM pg_class c, unnest(%(roles)s::text[]) role_of_owner WHERE c.oid = to_regclass(%(table)s);

-- name: get_owner
SELECT current_database(), pg_get_userbyid(relowner) FROM pg_class WHERE oid = to_regclass(%(table)s);

-- name: end_sessions
SELECT role::text, reason FROM koppel_end_reader_sessions(%(statement)s, %(transaction)s, %(lock)s);
