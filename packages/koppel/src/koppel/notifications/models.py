"""Events, the notifications of members about them, and the delivery by email and webhook."""

from collections.abc import Mapping

import msgspec
from django.db import models
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from koppel.audit.subjects import Subject, SubjectKind
from koppel.kit import quarantine
from koppel.kit.database.json_fields import MessageContext, MessageValue, TypedJSONField
from koppel.kit.encryption.fields import EncryptedField
from koppel.kit.tenancy.models import TenantModel
from koppel.organisations.models import Membership


class EventState(models.TextChoices):
    """PENDING: not dispatched yet. NOTIFIED: members were notified. CLOSED: over; the next event with the
    same key is a new one. RECOVERED: over before it was dispatched.
    """

    PENDING = "pending"
    NOTIFIED = "notified"
    CLOSED = "closed"
    RECOVERED = "recovered"


class IssueReference(msgspec.Struct, frozen=True):
    """The first of the issues that an event is about. A copy, because the issue may be deleted before the
    notification is read.
    """

    code: str
    facts: MessageContext = {}


EventContext = dict[str, MessageValue | IssueReference]
"""Values of the placeholders of an event's message by name, and the first issue under the name issue."""
EventFacts = Mapping[str, MessageValue | IssueReference]
"""The same, read-only."""


class Event(TenantModel):
    """An event.

    Members are notified once, however often it is opened. Announcements with the same `key` are the same
    event. `administrations` maps the ids of the affected administrations to their facts (`name`, `reason` …);
    `notified_administrations` are the ids of those in notifications sent. `subject_kind` and `subject_id`
    identify the subject: an administration, a connection.
    """

    event_type = models.CharField(max_length=60)
    key = models.CharField(max_length=120)
    subject_kind = models.CharField(max_length=40, default="")
    subject_id = models.BigIntegerField(null=True)
    context = TypedJSONField(EventContext, default=dict)
    administrations = TypedJSONField(dict[int, EventContext], default=dict)
    notified_administrations = TypedJSONField(list[int], default=list)
    link = models.CharField(max_length=300, default="")
    responsible = models.ForeignKey(
        Membership, null=True, on_delete=models.SET_NULL, db_constraint=False, related_name="+"
    )
    state = models.CharField(max_length=10, choices=EventState, default=EventState.PENDING)
    first_seen_at = models.DateTimeField(default=timezone.now)
    last_seen_at = models.DateTimeField(default=timezone.now)
    due_at = models.DateTimeField()
    notified_at = models.DateTimeField(null=True)
    round = models.IntegerField(default=1)
    closed_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "notifications_event"
        constraints = [
            models.UniqueConstraint(
                fields=["organisation", "event_type", "key"],
                condition=models.Q(state__in=["pending", "notified"]),
                name="one_open_event",
            )
        ]
        indexes = [
            models.Index(
                fields=["organisation", "due_at"], condition=models.Q(state="pending"), name="events_pending"
            ),
            models.Index(fields=["notified_at"], condition=models.Q(state="notified"), name="events_ongoing"),
        ]

    @property
    def subject(self) -> Subject | None:
        return Subject(SubjectKind(self.subject_kind), self.subject_id) if self.subject_kind else None

    def __str__(self) -> str:
        return f"{self.event_type} {self.key}"


class NotificationReason(models.TextChoices):
    """Why a member gets a notification."""

    RESPONSIBLE = "responsible", _("you are the owner")
    STAND_IN = "stand_in", _("you are the substitute of the owner")
    SETTINGS = "settings", _("you are selected in the settings of the administration")
    SUBSCRIBED = "subscribed", _("you subscribed to it")


class Notification(TenantModel):
    """One notification of one member. `event_type` has its text in `notifications.event_types`; `link` is a
    path within Koppel.

    `context` holds the event's own facts, `administrations` those of the affected administrations by id that
    the member might see at the time. The text is made when it is read, from those that they see then.
    `on_screen` False: by email alone. `recovered_at`: the event is closed. `round`: the first is about all
    administrations affected at that time, a later one about those added since.
    """

    membership = models.ForeignKey(
        Membership, on_delete=models.CASCADE, db_constraint=False, related_name="notifications"
    )
    event = models.ForeignKey(
        Event, null=True, on_delete=models.CASCADE, db_constraint=False, related_name="notifications"
    )
    round = models.IntegerField(default=1)
    event_type = models.CharField(max_length=60)
    context = TypedJSONField(EventContext, default=dict)
    administrations = TypedJSONField(dict[int, EventContext], default=dict)
    link = models.CharField(max_length=300, default="")
    reason = models.CharField(
        max_length=20, choices=NotificationReason, default=NotificationReason.RESPONSIBLE
    )
    on_screen = models.BooleanField(default=True)
    created_at = models.DateTimeField(auto_now_add=True)
    read_at = models.DateTimeField(null=True)
    recovered_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "notifications_notification"
        constraints = [
            models.UniqueConstraint(
                fields=["organisation", "event", "membership", "round"], name="notified_once"
            ),
        ]
        indexes = [
            models.Index(fields=["organisation", "membership", "-created_at"], name="notifications_of_member")
        ]

    def __str__(self) -> str:
        return f"{self.event_type} to {self.membership_id}"


class DeliveryState(models.TextChoices):
    """SENDING is stored right before the text is sent to the mail server. When the process dies then, the
    server may have accepted the email, so it becomes UNCERTAIN and is not sent again.
    """

    WAITING = "waiting"
    CLAIMED = "claimed"
    SENDING = "sending"
    SENT = "sent"
    FAILED = "failed"
    UNCERTAIN = "uncertain"
    DROPPED = "dropped"


class EmailReason(models.TextChoices):
    """Why an email was not sent, or may not have been, where Koppel itself knows; else the mail server's
    words are stored.
    """

    RECOVERED = "recovered"
    UNSUBSCRIBED = "unsubscribed"
    MEMBERSHIP_ENDED = "membership_ended"
    NOT_VISIBLE = "not_visible"
    INTERRUPTED = "interrupted"
    QUARANTINED = quarantine.CODE


class EmailDelivery(TenantModel):
    """A notification on its way by email: by itself, or with others in a person's daily digest."""

    notification = models.ForeignKey(
        Notification, on_delete=models.CASCADE, db_constraint=False, related_name="deliveries"
    )
    membership = models.ForeignKey(
        Membership, on_delete=models.CASCADE, db_constraint=False, related_name="+"
    )
    is_digest = models.BooleanField(default=False)
    state = models.CharField(max_length=20, choices=DeliveryState, default=DeliveryState.WAITING)
    due_at = models.DateTimeField(default=timezone.now)
    leased_until = models.DateTimeField(null=True)
    sent_at = models.DateTimeField(null=True)
    attempts = models.IntegerField(default=0)
    reason = models.CharField(max_length=300, default="")

    class Meta:
        db_table = "notifications_email_delivery"
        constraints = [models.UniqueConstraint(fields=["organisation", "notification"], name="emailed_once")]
        indexes = [
            models.Index(
                fields=["organisation", "due_at"],
                condition=models.Q(state__in=["waiting", "claimed", "sending"]),
                name="deliveries_under_way",
            )
        ]

    def __str__(self) -> str:
        return f"mail of {self.notification_id}"


class Channel(models.TextChoices):
    SCREEN = "screen", _("On screen")
    EMAIL = "email", _("By e-mail")


class PreferenceScope(models.TextChoices):
    """The administrations about whose events a member is notified. Each scope includes the ones above it;
    NONE is empty.
    """

    NONE = "none", _("None")
    MINE = "mine", _("Owner")
    FAVOURITES = "favourites", _("Owner and my favourites")
    DIVISIONS = "divisions", _("Owner and my divisions")
    ALL = "all", _("Owner and all visible administrations")


class Preference(TenantModel):
    """A person's own choice for one event and channel. Without a row: what the person is responsible for."""

    membership = models.ForeignKey(
        Membership, on_delete=models.CASCADE, db_constraint=False, related_name="+"
    )
    event_type = models.CharField(max_length=60)
    channel = models.CharField(max_length=10, choices=Channel)
    scope = models.CharField(max_length=20, choices=PreferenceScope)

    class Meta:
        db_table = "notifications_preference"
        constraints = [
            models.UniqueConstraint(
                fields=["organisation", "membership", "event_type", "channel"], name="one_preference"
            )
        ]

    def __str__(self) -> str:
        return f"{self.event_type} {self.channel}: {self.scope}"


class DeliverySettings(TenantModel):
    """A person's delivery of email: immediate or in a daily digest; and the stand-in while the person is
    away.
    """

    membership = models.ForeignKey(
        Membership, on_delete=models.CASCADE, db_constraint=False, related_name="+"
    )
    digest = models.BooleanField(default=False)
    stand_in = models.ForeignKey(
        Membership, null=True, on_delete=models.SET_NULL, db_constraint=False, related_name="+"
    )
    away_until = models.DateField(null=True)

    class Meta:
        db_table = "notifications_delivery_settings"
        constraints = [
            models.UniqueConstraint(fields=["organisation", "membership"], name="one_delivery_settings")
        ]

    def __str__(self) -> str:
        return f"delivery settings of {self.membership_id}"


class KnownDevice(TenantModel):
    """The fingerprint of a browser from which a member signed in. A sign-in from another one is notified."""

    membership = models.ForeignKey(
        Membership, on_delete=models.CASCADE, db_constraint=False, related_name="+"
    )
    fingerprint = models.CharField(max_length=64)
    first_seen_at = models.DateTimeField(auto_now_add=True)
    last_seen_at = models.DateTimeField(auto_now=True)

    class Meta:
        db_table = "notifications_known_device"
        constraints = [
            models.UniqueConstraint(fields=["organisation", "membership", "fingerprint"], name="device_once")
        ]

    def __str__(self) -> str:
        return f"device of {self.membership_id}"


class WebhookEndpoint(TenantModel):
    """An address of the organisation that receives events. `events` empty: all events. `divisions` (ids)
    empty: the whole organisation; otherwise only events about administrations of these divisions.

    `previous_secret` signs too until `previous_until`, so that a receiver can change secrets without losing a
    message. `failing_since`: no message was accepted since then. `paused_until`: the receiver asked for no
    call before then. `disabled_reason`: why Koppel switched it off, a `WebhookReason`.
    """

    name = models.CharField(max_length=100)
    url = models.CharField(max_length=500)
    events = TypedJSONField(list[str], default=list)
    divisions = TypedJSONField(list[int], default=list)
    secret = EncryptedField(default=b"")
    previous_secret = EncryptedField(null=True)
    previous_until = models.DateTimeField(null=True)
    is_enabled = models.BooleanField(default=True)
    created_by = models.ForeignKey(
        Membership, null=True, on_delete=models.SET_NULL, db_constraint=False, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)
    last_accepted_at = models.DateTimeField(null=True)
    failing_since = models.DateTimeField(null=True)
    paused_until = models.DateTimeField(null=True)
    disabled_reason = models.CharField(max_length=30, default="")

    class Meta:
        db_table = "notifications_webhook_endpoint"

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse("webhooks:detail", args=[self.pk])


class WebhookDelivery(TenantModel):
    """One message to one webhook, and its outcome. `body` is the text that is signed and sent, the same in
    every attempt.

    It is SENT once the receiver answered 2xx. It may arrive twice; `message_id` identifies it.
    """

    webhook = models.ForeignKey(
        WebhookEndpoint, on_delete=models.CASCADE, db_constraint=False, related_name="deliveries"
    )
    event = models.ForeignKey(
        Event, null=True, on_delete=models.CASCADE, db_constraint=False, related_name="+"
    )
    message_id = models.CharField(max_length=60)
    event_type = models.CharField(max_length=60)
    is_closing = models.BooleanField(default=False)
    body = models.TextField()
    state = models.CharField(max_length=20, choices=DeliveryState, default=DeliveryState.WAITING)
    due_at = models.DateTimeField(default=timezone.now)
    leased_until = models.DateTimeField(null=True)
    sent_at = models.DateTimeField(null=True)
    attempts = models.IntegerField(default=0)
    response_status = models.IntegerField(null=True)
    reason = models.CharField(max_length=30, default="")
    response_body = models.CharField(max_length=500, default="")
    duration_ms = models.IntegerField(null=True)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        db_table = "notifications_webhook_delivery"
        indexes = [
            models.Index(
                fields=["organisation", "due_at"],
                condition=models.Q(state__in=["waiting", "claimed"]),
                name="webhooks_under_way",
            ),
            models.Index(fields=["organisation", "webhook", "-created_at"], name="log_of_webhook"),
            models.Index(fields=["organisation", "event"], name="webhooks_of_event"),
        ]

    def __str__(self) -> str:
        return f"{self.event_type} to webhook {self.webhook_id}"
