"""Access that was given back is told apart from access that the person never took up."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("organisations", "0008_sign_in_links")]
    operations = [migrations.AddField("membership", "given_back_at", models.DateTimeField(null=True))]
