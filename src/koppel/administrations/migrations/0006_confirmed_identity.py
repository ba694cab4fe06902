"""What people confirmed so far: what was last described of each imported company, and where a change of it was told and nobody
settled it, what stood there before. The trail forgets these names and numbers with the others."""

from importlib import import_module

from django.db import migrations

_before = import_module("koppel.administrations.migrations.0004_pin_audit_forget")

CONFIRMED_SO_FAR = """
SELECT set_config('koppel.organisation', '0', true);
UPDATE connections_remote_company r
   SET confirmed_name = coalesce(nullif((
         SELECT i.facts ->> 'old' FROM issues_issue i
          WHERE i.organisation_id = a.organisation_id AND i.subject_kind = 'administration' AND i.subject_id = a.id
            AND i.code = 'company_renamed' AND i.resolved_at IS NULL LIMIT 1), ''),
         nullif(r.legal_name, ''), r.name),
       confirmed_number = coalesce(nullif((
         SELECT i.facts ->> 'old' FROM issues_issue i
          WHERE i.organisation_id = a.organisation_id AND i.subject_kind = 'administration' AND i.subject_id = a.id
            AND i.code = 'company_number_changed' AND i.resolved_at IS NULL LIMIT 1), ''),
         nullif(r.number, ''), a.number)
  FROM administrations_administration a
 WHERE a.remote_company_id = r.id AND a.organisation_id = r.organisation_id AND r.confirmed_name = '';
"""
AUDIT_FORGET = _before.AUDIT_FORGET + _before.BODY.replace(
    "r.vat_number]", "r.vat_number, r.confirmed_name, r.confirmed_number, r.claimed_name, r.claimed_number]"
)


class Migration(migrations.Migration):
    dependencies = [
        ("administrations", "0005_confirmed_by_person"),
        ("connections", "0008_confirmed_identity"),
        ("issues", "0002_told"),
    ]

    operations = [
        migrations.RunSQL(CONFIRMED_SO_FAR, migrations.RunSQL.noop),
        migrations.RunSQL(AUDIT_FORGET, _before.AUDIT_FORGET + _before.BODY),
    ]
