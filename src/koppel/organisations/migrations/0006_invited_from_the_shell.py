import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    """An organisation's first Administrator is invited by nobody who is a member."""

    dependencies = [("organisations", "0005_sessions_of_providers")]

    operations = [
        migrations.AlterField(
            model_name="invitation",
            name="invited_by",
            field=models.ForeignKey(
                db_constraint=False,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="organisations.membership",
            ),
        ),
    ]
