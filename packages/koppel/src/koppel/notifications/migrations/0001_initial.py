import django.db.models.deletion
import django.utils.timezone
from django.db import migrations, models

from koppel.kit.tenancy.migration_operations import tenant_key, tenant_parent, tenant_table


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        ('organisations', '0001_initial'),
    ]

    operations = [
        migrations.CreateModel(
            name='Event',
            fields=[
                ('id', models.BigAutoField(primary_key=True, serialize=False)),
                ('event_type', models.CharField(max_length=60)),
                ('key', models.CharField(max_length=120)),
                ('subject_kind', models.CharField(default='', max_length=40)),
                ('subject_id', models.BigIntegerField(null=True)),
                ('context', models.JSONField(default=dict)),
                ('administrations', models.JSONField(default=dict)),
                ('notified_administrations', models.JSONField(default=list)),
                ('link', models.CharField(default='', max_length=300)),
                ('state', models.CharField(choices=[('pending', 'Pending'), ('notified', 'Notified'), ('closed', 'Closed'), ('recovered', 'Recovered')], default='pending', max_length=10)),
                ('first_seen_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('last_seen_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('due_at', models.DateTimeField()),
                ('notified_at', models.DateTimeField(null=True)),
                ('round', models.IntegerField(default=1)),
                ('closed_at', models.DateTimeField(null=True)),
                ('organisation', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='organisations.organisation')),
                ('responsible', models.ForeignKey(db_constraint=False, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to='organisations.membership')),
            ],
            options={
                'db_table': 'notifications_event',
            },
        ),
        migrations.CreateModel(
            name='KnownDevice',
            fields=[
                ('id', models.BigAutoField(primary_key=True, serialize=False)),
                ('fingerprint', models.CharField(max_length=64)),
                ('first_seen_at', models.DateTimeField(auto_now_add=True)),
                ('last_seen_at', models.DateTimeField(auto_now=True)),
                ('membership', models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='organisations.membership')),
                ('organisation', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='organisations.organisation')),
            ],
            options={
                'db_table': 'notifications_known_device',
            },
        ),
        migrations.CreateModel(
            name='Notification',
            fields=[
                ('id', models.BigAutoField(primary_key=True, serialize=False)),
                ('round', models.IntegerField(default=1)),
                ('event_type', models.CharField(max_length=60)),
                ('context', models.JSONField(default=dict)),
                ('administrations', models.JSONField(default=dict)),
                ('link', models.CharField(default='', max_length=300)),
                ('reason', models.CharField(choices=[('responsible', 'you are the owner'), ('stand_in', 'you are the substitute of the owner'), ('settings', 'you are selected in the settings of the administration'), ('subscribed', 'you subscribed to it')], default='responsible', max_length=20)),
                ('on_screen', models.BooleanField(default=True)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('read_at', models.DateTimeField(null=True)),
                ('recovered_at', models.DateTimeField(null=True)),
                ('event', models.ForeignKey(db_constraint=False, null=True, on_delete=django.db.models.deletion.CASCADE, related_name='notifications', to='notifications.event')),
                ('membership', models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.CASCADE, related_name='notifications', to='organisations.membership')),
                ('organisation', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='organisations.organisation')),
            ],
            options={
                'db_table': 'notifications_notification',
            },
        ),
        migrations.CreateModel(
            name='EmailDelivery',
            fields=[
                ('id', models.BigAutoField(primary_key=True, serialize=False)),
                ('is_digest', models.BooleanField(default=False)),
                ('state', models.CharField(choices=[('waiting', 'Waiting'), ('claimed', 'Claimed'), ('sending', 'Sending'), ('sent', 'Sent'), ('failed', 'Failed'), ('uncertain', 'Uncertain'), ('dropped', 'Dropped')], default='waiting', max_length=20)),
                ('due_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('leased_until', models.DateTimeField(null=True)),
                ('sent_at', models.DateTimeField(null=True)),
                ('attempts', models.IntegerField(default=0)),
                ('reason', models.CharField(default='', max_length=300)),
                ('membership', models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='organisations.membership')),
                ('organisation', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='organisations.organisation')),
                ('notification', models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.CASCADE, related_name='deliveries', to='notifications.notification')),
            ],
            options={
                'db_table': 'notifications_email_delivery',
            },
        ),
        migrations.CreateModel(
            name='Preference',
            fields=[
                ('id', models.BigAutoField(primary_key=True, serialize=False)),
                ('event_type', models.CharField(max_length=60)),
                ('channel', models.CharField(choices=[('screen', 'On screen'), ('email', 'By e-mail')], max_length=10)),
                ('scope', models.CharField(choices=[('none', 'None'), ('mine', 'Owner'), ('favourites', 'Owner and my favourites'), ('divisions', 'Owner and my divisions'), ('all', 'Owner and all visible administrations')], max_length=20)),
                ('membership', models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='organisations.membership')),
                ('organisation', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='organisations.organisation')),
            ],
            options={
                'db_table': 'notifications_preference',
            },
        ),
        migrations.CreateModel(
            name='WebhookEndpoint',
            fields=[
                ('id', models.BigAutoField(primary_key=True, serialize=False)),
                ('name', models.CharField(max_length=100)),
                ('url', models.CharField(max_length=500)),
                ('events', models.JSONField(default=list)),
                ('divisions', models.JSONField(default=list)),
                ('secret', models.BinaryField(default=b'')),
                ('previous_secret', models.BinaryField(null=True)),
                ('previous_until', models.DateTimeField(null=True)),
                ('is_enabled', models.BooleanField(default=True)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('last_accepted_at', models.DateTimeField(null=True)),
                ('failing_since', models.DateTimeField(null=True)),
                ('paused_until', models.DateTimeField(null=True)),
                ('disabled_reason', models.CharField(default='', max_length=30)),
                ('created_by', models.ForeignKey(db_constraint=False, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to='organisations.membership')),
                ('organisation', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='organisations.organisation')),
            ],
            options={
                'db_table': 'notifications_webhook_endpoint',
            },
        ),
        migrations.CreateModel(
            name='WebhookDelivery',
            fields=[
                ('id', models.BigAutoField(primary_key=True, serialize=False)),
                ('message_id', models.CharField(max_length=60)),
                ('event_type', models.CharField(max_length=60)),
                ('is_closing', models.BooleanField(default=False)),
                ('body', models.TextField()),
                ('state', models.CharField(choices=[('waiting', 'Waiting'), ('claimed', 'Claimed'), ('sending', 'Sending'), ('sent', 'Sent'), ('failed', 'Failed'), ('uncertain', 'Uncertain'), ('dropped', 'Dropped')], default='waiting', max_length=20)),
                ('due_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('leased_until', models.DateTimeField(null=True)),
                ('sent_at', models.DateTimeField(null=True)),
                ('attempts', models.IntegerField(default=0)),
                ('response_status', models.IntegerField(null=True)),
                ('reason', models.CharField(default='', max_length=30)),
                ('response_body', models.CharField(default='', max_length=500)),
                ('duration_ms', models.IntegerField(null=True)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('event', models.ForeignKey(db_constraint=False, null=True, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='notifications.event')),
                ('organisation', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='organisations.organisation')),
                ('webhook', models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.CASCADE, related_name='deliveries', to='notifications.webhookendpoint')),
            ],
            options={
                'db_table': 'notifications_webhook_delivery',
            },
        ),
        migrations.CreateModel(
            name='DeliverySettings',
            fields=[
                ('id', models.BigAutoField(primary_key=True, serialize=False)),
                ('digest', models.BooleanField(default=False)),
                ('away_until', models.DateField(null=True)),
                ('membership', models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='organisations.membership')),
                ('organisation', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='organisations.organisation')),
                ('stand_in', models.ForeignKey(db_constraint=False, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to='organisations.membership')),
            ],
            options={
                'db_table': 'notifications_delivery_settings',
                'constraints': [models.UniqueConstraint(fields=('organisation', 'membership'), name='one_delivery_settings')],
            },
        ),
        migrations.AddIndex(
            model_name='event',
            index=models.Index(condition=models.Q(('state', 'pending')), fields=['organisation', 'due_at'], name='events_pending'),
        ),
        migrations.AddIndex(
            model_name='event',
            index=models.Index(condition=models.Q(('state', 'notified')), fields=['notified_at'], name='events_ongoing'),
        ),
        migrations.AddConstraint(
            model_name='event',
            constraint=models.UniqueConstraint(condition=models.Q(('state__in', ['pending', 'notified'])), fields=('organisation', 'event_type', 'key'), name='one_open_event'),
        ),
        migrations.AddConstraint(
            model_name='knowndevice',
            constraint=models.UniqueConstraint(fields=('organisation', 'membership', 'fingerprint'), name='device_once'),
        ),
        migrations.AddIndex(
            model_name='notification',
            index=models.Index(fields=['organisation', 'membership', '-created_at'], name='notifications_of_member'),
        ),
        migrations.AddConstraint(
            model_name='notification',
            constraint=models.UniqueConstraint(fields=('organisation', 'event', 'membership', 'round'), name='notified_once'),
        ),
        migrations.AddIndex(
            model_name='emaildelivery',
            index=models.Index(condition=models.Q(('state__in', ['waiting', 'claimed', 'sending'])), fields=['organisation', 'due_at'], name='deliveries_under_way'),
        ),
        migrations.AddConstraint(
            model_name='emaildelivery',
            constraint=models.UniqueConstraint(fields=('organisation', 'notification'), name='emailed_once'),
        ),
        migrations.AddConstraint(
            model_name='preference',
            constraint=models.UniqueConstraint(fields=('organisation', 'membership', 'event_type', 'channel'), name='one_preference'),
        ),
        migrations.AddIndex(
            model_name='webhookdelivery',
            index=models.Index(condition=models.Q(('state__in', ['waiting', 'claimed'])), fields=['organisation', 'due_at'], name='webhooks_under_way'),
        ),
        migrations.AddIndex(
            model_name='webhookdelivery',
            index=models.Index(fields=['organisation', 'webhook', '-created_at'], name='log_of_webhook'),
        ),
        migrations.AddIndex(
            model_name='webhookdelivery',
            index=models.Index(fields=['organisation', 'event'], name='webhooks_of_event'),
        ),
        tenant_table("notifications_notification"),
        tenant_table("notifications_event"),
        tenant_table("notifications_email_delivery"),
        tenant_table("notifications_preference"),
        tenant_table("notifications_delivery_settings"),
        tenant_table("notifications_known_device"),
        tenant_parent("notifications_event"),
        tenant_parent("notifications_notification"),
        tenant_table("notifications_webhook_endpoint"),
        tenant_table("notifications_webhook_delivery"),
        tenant_parent("notifications_webhook_endpoint"),
        tenant_key("notifications_notification", "membership_id", "organisations_membership"),
        tenant_key("notifications_event", "responsible_id", "organisations_membership"),
        tenant_key("notifications_notification", "event_id", "notifications_event"),
        tenant_key("notifications_email_delivery", "notification_id", "notifications_notification"),
        tenant_key("notifications_email_delivery", "membership_id", "organisations_membership"),
        tenant_key("notifications_preference", "membership_id", "organisations_membership"),
        tenant_key("notifications_delivery_settings", "membership_id", "organisations_membership"),
        tenant_key("notifications_known_device", "membership_id", "organisations_membership"),
        tenant_key("notifications_delivery_settings", "stand_in_id", "organisations_membership"),
        tenant_key("notifications_webhook_endpoint", "created_by_id", "organisations_membership"),
        tenant_key("notifications_webhook_delivery", "webhook_id", "notifications_webhook_endpoint"),
        tenant_key("notifications_webhook_delivery", "event_id", "notifications_event"),
    ]
