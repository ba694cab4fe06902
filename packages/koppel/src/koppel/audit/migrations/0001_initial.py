import django.db.models.functions.datetime
from django.db import migrations, models

from koppel.kit.tenancy.migration_operations import PINNED, installation_table, tenant_table

VALUES = f"""
CREATE FUNCTION public.audit_values(entry public.audit_entry)
RETURNS TABLE (path text, value text, salt bytea)
LANGUAGE sql STABLE {PINNED} AS $$
  SELECT v.path, v.value,
         CASE WHEN entry.salt IS NOT NULL THEN sha256(entry.salt || convert_to(v.path, 'UTF8'))
              ELSE coalesce(decode(entry.parts -> v.path ->> 'salt', 'hex'), '') END
    FROM (
      SELECT f.path, f.value FROM (VALUES
        ('id', entry.id::text), ('organisation_id', entry.organisation_id::text),
        ('at', (extract(epoch FROM entry.at) * 1000000)::bigint::text),
        ('actor_kind', entry.actor_kind::text), ('actor_id', entry.actor_id::text),
        ('actor_name', entry.actor_name), ('ip_address', entry.ip_address),
        ('interface', entry.interface::text), ('action', entry.action::text),
        ('subject_kind', entry.subject_kind::text), ('subject_id', entry.subject_id::text),
        ('subject_name', entry.subject_name)
      ) f(path, value)
      UNION ALL
      SELECT jsonb_build_array('details', outer_part.key, inner_part.key)::text,
             coalesce(inner_part.value, outer_part.value)::text
        FROM jsonb_each(entry.details) outer_part
        LEFT JOIN LATERAL jsonb_each(
          CASE WHEN jsonb_typeof(outer_part.value) = 'object' THEN outer_part.value END) inner_part ON true
    ) v
   WHERE NOT coalesce(entry.parts -> v.path ? 'digest', false)
$$;
CREATE FUNCTION public.audit_value_digest(value text, salt bytea) RETURNS bytea
LANGUAGE sql IMMUTABLE {PINNED} AS $$
  SELECT sha256(salt || convert_to(coalesce('v' || value, 'n'), 'UTF8'))
$$;
CREATE FUNCTION public.audit_digest(entry public.audit_entry) RETURNS bytea
LANGUAGE sql STABLE {PINNED} AS $$
  SELECT sha256(string_agg(
           sha256(convert_to(d.path, 'UTF8')) || d.digest, ''::bytea ORDER BY d.path COLLATE "C"))
    FROM (
      SELECT v.path, public.audit_value_digest(v.value, v.salt) FROM public.audit_values(entry) v
      UNION ALL
      SELECT erased.key, decode(erased.value ->> 'digest', 'hex')
        FROM jsonb_each(coalesce(entry.parts, '{{}}')) erased WHERE erased.value ? 'digest'
    ) d(path, digest)
$$;
REVOKE ALL ON FUNCTION public.audit_values(public.audit_entry) FROM PUBLIC;
REVOKE ALL ON FUNCTION public.audit_value_digest(text, bytea) FROM PUBLIC;
REVOKE ALL ON FUNCTION public.audit_digest(public.audit_entry) FROM PUBLIC;
"""
"""The values of an entry, by path, and the digest over them. `koppel.audit.chain` computes the same in Python, so that
a verification does not believe these functions."""
APPEND = f"""
CREATE FUNCTION public.audit_append(organisation bigint, actor jsonb, action text, subject_kind text, subject_id bigint,
                                    subject_name text, details jsonb) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER {PINNED} AS $$
#variable_conflict use_column
DECLARE
  scope_actor jsonb := nullif(current_setting('koppel.actor', true), '')::jsonb;
  who jsonb := CASE WHEN scope_actor IS NULL OR audit_append.actor ->> 'kind' = 'job' THEN audit_append.actor
                    ELSE scope_actor END;
  is_job boolean := who ->> 'kind' = 'job';
  entry bigint;
BEGIN
  INSERT INTO public.audit_entry
    (organisation_id, at, actor_kind, actor_id, actor_name, ip_address, interface, action, subject_kind, subject_id,
     subject_name, details, salt)
  VALUES (organisation, clock_timestamp(), who ->> 'kind',
          CASE WHEN is_job THEN NULL ELSE (who ->> 'id')::bigint END,
          CASE WHEN is_job THEN 'Koppel' ELSE coalesce(who ->> 'name', '') END,
          coalesce(who ->> 'ip_address', ''), coalesce(who ->> 'interface', 'job'),
          audit_append.action, audit_append.subject_kind, audit_append.subject_id, audit_append.subject_name,
          audit_append.details, uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()))
  RETURNING id INTO entry;
  INSERT INTO public.audit_pending_link (entry_id, organisation_id, transaction_id)
  VALUES (entry, organisation, pg_current_xact_id()::text::bigint);
  RETURN entry;
END $$;
REVOKE ALL ON FUNCTION public.audit_append(bigint, jsonb, text, text, bigint, text, jsonb) FROM PUBLIC;
"""
"""The only way to write an entry. It sets the time; and who acted is what the scope of the request says, where one is set:
what the caller says counts in jobs and before a sign-in, and for Koppel's own acts."""
LINK = f"""
CREATE FUNCTION public.audit_link_pending(organisation bigint, entries_max bigint) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER {PINNED} AS $$
DECLARE
  chain public.audit_chain;
  entry public.audit_entry;
  pending bigint;
  digest_of_entry bytea;
  count bigint := 0;
BEGIN
  INSERT INTO public.audit_chain (organisation_id, length, head, expired_through)
  VALUES (organisation, 0, sha256(''::bytea), 0) ON CONFLICT DO NOTHING;
  SELECT * INTO STRICT chain FROM public.audit_chain WHERE organisation_id = organisation FOR UPDATE;
  -- What is older than the oldest open transaction is complete: nothing can come before it any more. A number
  -- that this server has not given out yet is of the server that this database was restored from.
  FOR pending IN
    SELECT p.entry_id FROM public.audit_pending_link p
     WHERE p.organisation_id = organisation
       AND (p.transaction_id < pg_snapshot_xmin(pg_current_snapshot())::text::bigint
            OR p.transaction_id >= pg_snapshot_xmax(pg_current_snapshot())::text::bigint)
     ORDER BY p.transaction_id, p.entry_id LIMIT entries_max
  LOOP
    SELECT * INTO entry FROM public.audit_entry WHERE organisation_id = organisation AND id = pending;
    CONTINUE WHEN NOT FOUND;  -- a verification reports it
    digest_of_entry := public.audit_digest(entry);
    chain.length := chain.length + 1;
    chain.head := sha256(chain.head || int8send(organisation) || int8send(chain.length) || int8send(entry.id)
      || int8send((extract(epoch FROM entry.at) * 1000000)::bigint) || digest_of_entry);
    INSERT INTO public.audit_link (organisation_id, position, entry_id, at, digest, link)
    VALUES (organisation, chain.length, entry.id, entry.at, digest_of_entry, chain.head);
    DELETE FROM public.audit_pending_link WHERE entry_id = pending;
    count := count + 1;
  END LOOP;
  UPDATE public.audit_chain SET length = chain.length, head = chain.head WHERE organisation_id = organisation;
  RETURN count;
END $$;
REVOKE ALL ON FUNCTION public.audit_link_pending(bigint, bigint) FROM PUBLIC;
"""
ERASE = f"""
CREATE FUNCTION public.audit_erase_values(entry public.audit_entry, erased text[]) RETURNS void
LANGUAGE plpgsql {PINNED} AS $$
DECLARE
  new_parts jsonb;
  left_over jsonb := entry.details;
  path text;
BEGIN
  SELECT coalesce(jsonb_object_agg(v.path, CASE WHEN v.path = ANY (erased)
           THEN jsonb_build_object('digest', encode(public.audit_value_digest(v.value, v.salt), 'hex'))
           ELSE jsonb_build_object('salt', encode(v.salt, 'hex')) END), '{{}}')
    INTO new_parts FROM public.audit_values(entry) v;
  SELECT new_parts || coalesce(jsonb_object_agg(former.key, former.value), '{{}}')
    INTO new_parts FROM jsonb_each(coalesce(entry.parts, '{{}}')) former WHERE former.value ? 'digest';
  FOREACH path IN ARRAY erased LOOP
    IF starts_with(path, '[') AND path::jsonb ->> 2 IS NULL THEN
      left_over := left_over - (path::jsonb ->> 1);
    ELSIF starts_with(path, '[') THEN
      left_over := left_over #- array[path::jsonb ->> 1, path::jsonb ->> 2];
      IF left_over -> (path::jsonb ->> 1) = '{{}}' THEN
        left_over := left_over - (path::jsonb ->> 1);
      END IF;
    END IF;
  END LOOP;
  UPDATE public.audit_entry
     SET salt = NULL, parts = new_parts, details = left_over,
         subject_name = CASE WHEN 'subject_name' = ANY (erased) THEN '' ELSE subject_name END
   WHERE organisation_id = entry.organisation_id AND id = entry.id;
END $$;
REVOKE ALL ON FUNCTION public.audit_erase_values(public.audit_entry, text[]) FROM PUBLIC;
"""
"""For the owner's functions: takes values and their salts out of an entry, and keeps their digests. The application
may call it, which changes nothing, because it runs with the caller's rights."""


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        ('kit', '0001_initial'),
    ]

    operations = [
        migrations.CreateModel(
            name='AuditEntry',
            fields=[
                ('id', models.BigAutoField(primary_key=True, serialize=False)),
                ('organisation_id', models.BigIntegerField()),
                ('at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('actor_kind', models.CharField(choices=[('person', 'Person'), ('token', 'API token'), ('job', 'Job'), ('operator', 'Operator')], max_length=10)),
                ('actor_id', models.BigIntegerField(null=True)),
                ('actor_name', models.TextField(default='')),
                ('ip_address', models.TextField(default='')),
                ('interface', models.CharField(choices=[('web', 'Web'), ('api', 'API'), ('cli', 'Command line'), ('job', 'Job')], default='job', max_length=10)),
                ('action', models.CharField(max_length=80)),
                ('subject_kind', models.CharField(default='', max_length=40)),
                ('subject_id', models.BigIntegerField(null=True)),
                ('subject_name', models.TextField(default='')),
                ('details', models.JSONField(default=dict)),
                ('salt', models.BinaryField(null=True)),
                ('parts', models.JSONField(null=True)),
            ],
            options={
                'db_table': 'audit_entry',
                'indexes': [models.Index(fields=['organisation_id', '-at'], name='audit_by_time'), models.Index(fields=['organisation_id', 'subject_kind', 'subject_id', '-at'], name='audit_by_subject'), models.Index(fields=['organisation_id', 'actor_id', '-at'], name='audit_by_person')],
            },
        ),
        migrations.CreateModel(
            name='PendingLink',
            fields=[
                ('entry_id', models.BigIntegerField(primary_key=True, serialize=False)),
                ('organisation_id', models.BigIntegerField()),
                ('transaction_id', models.BigIntegerField()),
            ],
            options={
                'db_table': 'audit_pending_link',
                'indexes': [models.Index(fields=['organisation_id', 'transaction_id', 'entry_id'], name='audit_pending_in_order')],
            },
        ),
        migrations.CreateModel(
            name='Link',
            fields=[
                ('id', models.BigAutoField(primary_key=True, serialize=False)),
                ('organisation_id', models.BigIntegerField()),
                ('position', models.BigIntegerField()),
                ('entry_id', models.BigIntegerField()),
                ('at', models.DateTimeField()),
                ('digest', models.BinaryField()),
                ('link', models.BinaryField()),
            ],
            options={
                'db_table': 'audit_link',
                'constraints': [models.UniqueConstraint(fields=('organisation_id', 'position'), name='link_position_once'), models.UniqueConstraint(fields=('organisation_id', 'entry_id'), name='entry_linked_once')],
            },
        ),
        migrations.CreateModel(
            name='Chain',
            fields=[
                ('organisation_id', models.BigIntegerField(primary_key=True, serialize=False)),
                ('length', models.BigIntegerField(default=0)),
                ('head', models.BinaryField()),
                ('expired_through', models.BigIntegerField(default=0)),
            ],
            options={
                'db_table': 'audit_chain',
            },
        ),
        migrations.CreateModel(
            name='SignedHead',
            fields=[
                ('id', models.BigAutoField(primary_key=True, serialize=False)),
                ('organisation_id', models.BigIntegerField()),
                ('length', models.BigIntegerField()),
                ('head', models.BinaryField()),
                ('signed_at', models.DateTimeField()),
                ('key_id', models.TextField()),
                ('signature', models.BinaryField()),
            ],
            options={
                'db_table': 'audit_signed_head',
                'indexes': [models.Index(fields=['organisation_id', '-length'], name='signed_heads_of_chain')],
            },
        ),
        migrations.CreateModel(
            name='HeadDelivery',
            fields=[
                ('id', models.SmallIntegerField(default=1, primary_key=True, serialize=False)),
                ('delivered_through', models.BigIntegerField(default=0)),
            ],
            options={
                'db_table': 'audit_head_delivery',
                'constraints': [models.CheckConstraint(condition=models.Q(('id', 1)), name='one_head_delivery')],
            },
        ),
        migrations.CreateModel(
            name='Occurrence',
            fields=[
                ('id', models.BigAutoField(primary_key=True, serialize=False)),
                ('organisation_id', models.BigIntegerField()),
                ('action', models.CharField(max_length=80)),
                ('subject_kind', models.CharField(default='', max_length=40)),
                ('subject_id', models.BigIntegerField(default=0)),
                ('subject_name', models.TextField(default='')),
                ('began_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('last_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('count', models.BigIntegerField(default=1)),
                ('addresses', models.JSONField(default=list)),
            ],
            options={
                'db_table': 'audit_occurrence',
                'constraints': [models.UniqueConstraint(fields=('organisation_id', 'action', 'subject_kind', 'subject_id'), name='one_open_window')],
            },
        ),
        tenant_table("audit_entry"),
        tenant_table("audit_pending_link"),
        tenant_table("audit_link"),
        tenant_table("audit_chain"),
        tenant_table("audit_signed_head"),
        tenant_table("audit_occurrence"),
        installation_table("audit_head_delivery"),
        migrations.RunSQL(
            VALUES,
            "DROP FUNCTION public.audit_digest(public.audit_entry);"
            " DROP FUNCTION public.audit_value_digest(text, bytea);"
            " DROP FUNCTION public.audit_values(public.audit_entry)",
        ),
        migrations.RunSQL(
            APPEND, "DROP FUNCTION public.audit_append(bigint, jsonb, text, text, bigint, text, jsonb)"
        ),
        migrations.RunSQL(LINK, "DROP FUNCTION public.audit_link_pending(bigint, bigint)"),
        migrations.RunSQL(ERASE, "DROP FUNCTION public.audit_erase_values(public.audit_entry, text[])"),
    ]
