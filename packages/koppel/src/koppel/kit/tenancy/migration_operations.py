"""Migration operations for row level security and for keys that bind rows within one organisation."""

from django.db.migrations.operations import RunSQL

PINNED = "SET search_path = pg_catalog, pg_temp"
"""Required for every function that a policy or trigger calls, or that runs as its owner: otherwise the
caller's own types and operators could change the meaning of names in its body. In these functions, Koppel's
tables and functions are named `public.…`.
"""
SCOPE_FUNCTION = f"""
CREATE FUNCTION public.koppel_scope() RETURNS bigint
LANGUAGE plpgsql STABLE PARALLEL SAFE {PINNED} AS $$
DECLARE value text;
BEGIN
  -- A role that reads by SQL can SET what it likes, but it cannot choose its own name or rights. A reader
  -- that was renamed, or a role that was granted the views by hand, has no right on the tables: it reads what
  -- the list of readers says. Any table of ours tells the two apart; this one is as old as this function.
  IF starts_with(current_user::pg_catalog.text, 'koppel_reader_')
     OR NOT has_table_privilege(current_user, 'public.kit_quarantine', 'SELECT') THEN
    RETURN public.koppel_reader_organisation(current_user);
  END IF;
  value := current_setting('koppel.organisation', true);
  IF value IS NULL OR value = '' THEN
    RAISE EXCEPTION 'no organisation scope is set for this transaction'
      USING ERRCODE = 'insufficient_privilege',
            HINT = 'Open koppel.kit.tenancy.organisation_scope(...) first.';
  END IF;
  RETURN value::bigint;
END $$;
"""


def create_scope_function() -> RunSQL:
    """Create the function that every policy calls. It raises when no scope is set.

    Only a role that may read the tables themselves can choose the scope by a setting; another role belongs to
    the organisation that `koppel_reader_organisation` (created with the books) names, or to none.
    """
    return RunSQL(SCOPE_FUNCTION, "DROP FUNCTION public.koppel_scope()")


def tenant_table(table: str, *, column: str = "organisation_id", shared_when_null: bool = False) -> RunSQL:
    """Force row level security on `table`: the scope's organisation, or all in the installation scope.

    `shared_when_null` lets every organisation read rows that belong to the installation (organisation NULL),
    by a policy for reading alone: a policy for all commands would let it take or delete them.
    """
    own_rows = f"{column} = (SELECT koppel_scope()) OR (SELECT koppel_scope()) = 0"
    shared_rows = f"CREATE POLICY shared ON {table} FOR SELECT USING ({column} IS NULL);"
    return RunSQL(
        f"""
        ALTER TABLE {table} ENABLE ROW LEVEL SECURITY;
        ALTER TABLE {table} FORCE ROW LEVEL SECURITY;
        CREATE POLICY tenant ON {table} USING ({own_rows}) WITH CHECK ({own_rows});
        {shared_rows if shared_when_null else ""}
        """,
        f"DROP POLICY tenant ON {table}; DROP POLICY IF EXISTS shared ON {table};"
        f" ALTER TABLE {table} DISABLE ROW LEVEL SECURITY;"
        f" ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY;",
    )


def installation_table(table: str) -> RunSQL:
    """Force row level security on a `table` without organisations.

    Only the installation scope may access it.
    """
    return RunSQL(
        f"""
        ALTER TABLE {table} ENABLE ROW LEVEL SECURITY;
        ALTER TABLE {table} FORCE ROW LEVEL SECURITY;
        CREATE POLICY installation ON {table}
          USING ((SELECT koppel_scope()) = 0) WITH CHECK ((SELECT koppel_scope()) = 0);
        """,
        f"DROP POLICY installation ON {table}; ALTER TABLE {table} DISABLE ROW LEVEL SECURITY;"
        f" ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY;",
    )


def tenant_parent(table: str) -> RunSQL:
    """Make `table` a parent for composite keys: (organisation_id, id) is unique."""
    return RunSQL(
        f"ALTER TABLE {table} ADD CONSTRAINT {table}_tenant UNIQUE (organisation_id, id)",
        f"ALTER TABLE {table} DROP CONSTRAINT {table}_tenant",
    )


def tenant_key(table: str, column: str, parent: str, *, on_delete: str = "NO ACTION") -> RunSQL:
    """Require that (organisation_id, column) of `table` exists in `parent`.

    Foreign key checks bypass policies, so a plain key would let a row point into another organisation.
    """
    name = f"{table}_{column}_tenant"
    return RunSQL(
        f"ALTER TABLE {table} ADD CONSTRAINT {name} FOREIGN KEY (organisation_id, {column})"
        f" REFERENCES {parent} (organisation_id, id) ON DELETE {on_delete} DEFERRABLE INITIALLY DEFERRED",
        f"ALTER TABLE {table} DROP CONSTRAINT {name}",
    )


_PARENT_FUNCTIONS = """
CREATE FUNCTION public.{table}_of_parent() RETURNS trigger LANGUAGE plpgsql {pinned} AS $$
DECLARE parent_key record;
BEGIN
  FOR parent_key IN SELECT DISTINCT organisation_id, {column} AS id FROM written LOOP
    PERFORM FROM public.{parent} parent
     WHERE parent.organisation_id = parent_key.organisation_id AND parent.id = parent_key.id FOR KEY SHARE;
    IF NOT FOUND THEN
      RAISE EXCEPTION '{table}: organisation % has no % in {parent}',
          parent_key.organisation_id, parent_key.id
        USING ERRCODE = 'foreign_key_violation';
    END IF;
  END LOOP;
  RETURN NULL;
END $$;
CREATE FUNCTION public.{table}_without_parent() RETURNS trigger LANGUAGE plpgsql {pinned} AS $$
BEGIN
  DELETE FROM public.{table} child WHERE child.organisation_id = OLD.organisation_id
    AND child.{column} = OLD.id;
  RETURN NULL;
END $$;
"""
_PARENT_TRIGGERS = """
CREATE TRIGGER inserted AFTER INSERT ON {table} REFERENCING NEW TABLE AS written
  FOR EACH STATEMENT EXECUTE FUNCTION {table}_of_parent();
CREATE TRIGGER updated AFTER UPDATE ON {table} REFERENCING NEW TABLE AS written
  FOR EACH STATEMENT EXECUTE FUNCTION {table}_of_parent();
CREATE TRIGGER {table}_without_parent AFTER DELETE ON {parent}
  FOR EACH ROW EXECUTE FUNCTION {table}_without_parent();
"""
_WITHOUT_PARENT_TRIGGERS = """
DROP TRIGGER {table}_without_parent ON {parent};
DROP TRIGGER inserted ON {table};
DROP TRIGGER updated ON {table};
DROP FUNCTION {table}_without_parent();
DROP FUNCTION {table}_of_parent();
"""


def tenant_key_by_statement(table: str, column: str, parent: str) -> RunSQL:
    """Replace a cascading `tenant_key` by a check that looks up the parents once per statement.

    A foreign key looks up the parent once for each row. The parent is locked as by a foreign key, so it
    cannot be deleted while rows are added; it must be visible in the scope. Checked immediately, not at
    commit.
    """
    names = {"table": table, "column": column, "parent": parent, "pinned": PINNED}
    return RunSQL(
        (_PARENT_FUNCTIONS + _PARENT_TRIGGERS).format(**names), _WITHOUT_PARENT_TRIGGERS.format(**names)
    )


_PARTITION = """
DO $$
DECLARE
  definition text;
  definitions text[];
BEGIN
  SELECT array_agg(indexdef) INTO definitions FROM pg_indexes
   WHERE schemaname = 'public' AND tablename = '{table}' AND indexname <> '{table}_pkey';
  ALTER TABLE {table} RENAME TO {table}_whole;
  CREATE TABLE {table} (LIKE {table}_whole INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING STORAGE)
    PARTITION BY HASH ({column});
  FOR number IN 0..{count} - 1 LOOP
    EXECUTE format('CREATE TABLE {table}_%s PARTITION OF {table} FOR VALUES WITH (MODULUS {count},
      REMAINDER %s)',
                   number, number);
    EXECUTE format('ALTER TABLE {table}_%s ENABLE ROW LEVEL SECURITY', number);
    EXECUTE format('ALTER TABLE {table}_%s FORCE ROW LEVEL SECURITY', number);
  END LOOP;
  DROP TABLE {table}_whole CASCADE;
  ALTER TABLE {table} ADD PRIMARY KEY ({key});
  FOREACH definition IN ARRAY coalesce(definitions, '{{}}') LOOP
    EXECUTE definition;
  END LOOP;
END $$;
"""


def partitioned_by_hash(table: str, column: str, key: str, *, count: int) -> RunSQL:
    """Replace the new, empty `table` by one of `count` hash partitions.

    The partitioned table has the same columns and indexes; create policies and tenant keys after it. `key` is
    the primary key; `column` is part of it. The partitions have row level security without policies: they can
    only be accessed through `table`.
    """
    return RunSQL(_PARTITION.format(table=table, column=column, key=key, count=count), RunSQL.noop)
