import django.db.models.deletion
import django.utils.timezone
from django.db import migrations, models

from koppel.kit.tenancy.migration_operations import tenant_table

FILL = """
SELECT set_config('koppel.organisation', '0', true);
UPDATE organisations_sign_in_subject s SET issuer = p.issuer FROM organisations_sign_in_provider p WHERE p.id = s.provider_id;
UPDATE organisations_membership SET joined_at = created_at;
"""


class Migration(migrations.Migration):
    """A link belongs to the issuer it was made at. Since when a person is a member by their own act, which organisation they
    chose last, and which e-mail domains whoever runs Koppel has confirmed."""

    dependencies = [("organisations", "0007_pin_audit_expire")]

    operations = [
        migrations.AddField("user", "last_organisation", models.BigIntegerField(null=True)),
        migrations.AddField(
            "membership", "joined_at", models.DateTimeField(default=django.utils.timezone.now, null=True)
        ),
        migrations.AddField("signinsubject", "issuer", models.CharField(default="", max_length=300)),
        migrations.RemoveConstraint("signinsubject", "subject_once"),
        migrations.RemoveConstraint("signinsubject", "one_subject_per_member"),
        migrations.RunSQL(FILL, migrations.RunSQL.noop),
        migrations.AddConstraint(
            "signinsubject",
            models.UniqueConstraint(fields=["organisation", "issuer", "subject"], name="subject_once"),
        ),
        migrations.AddConstraint(
            "signinsubject",
            models.UniqueConstraint(fields=["organisation", "membership", "issuer"], name="one_subject_per_member"),
        ),
        migrations.CreateModel(
            "ConfirmedDomain",
            [
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("domain", models.CharField(max_length=253, unique=True)),
                ("confirmed_by", models.TextField(default="")),
                ("confirmed_at", models.DateTimeField(auto_now_add=True)),
                (
                    "organisation",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="organisations.organisation",
                    ),
                ),
            ],
            options={"db_table": "organisations_confirmed_domain"},
        ),
        tenant_table("organisations_confirmed_domain"),
    ]
