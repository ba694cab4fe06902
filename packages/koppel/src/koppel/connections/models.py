"""Tables of a link to an accounting system. Secrets are encrypted and bound to their row."""

from typing import Any

from django.db import models
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from koppel.kit.database.json_fields import MessageContext, TypedJSONField
from koppel.kit.encryption.fields import EncryptedField
from koppel.kit.tenancy.models import TenantModel
from koppel.organisations.models import Membership, Organisation


class AppRegistration(models.Model):
    """Client id and secret at the vendor, for one environment. `organisation` NULL: belongs to the
    installation.

    `base_urls` override the environment's base URLs (a sandbox on another port). `name` is the firm's own
    word for it, '' where it has none. A removed one stays for the history, without its secret.
    `refresh_token_days`: how long a refresh token lives, where the app may choose and the vendor does not
    say.
    """

    id = models.BigAutoField(primary_key=True)
    organisation = models.ForeignKey(Organisation, null=True, on_delete=models.PROTECT, related_name="+")
    connector = models.CharField(max_length=60)
    environment = models.CharField(max_length=40)
    consent_mode = models.CharField(max_length=40)
    name = models.CharField(max_length=120, default="")
    client_id = models.CharField(max_length=200)
    client_secret = EncryptedField()
    base_urls = TypedJSONField(dict[str, str], default=dict)
    refresh_token_days = models.PositiveSmallIntegerField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)
    removed_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "connections_app_registration"

    def __str__(self) -> str:
        return f"{self.connector} {self.environment} {self.client_id}"


class ConnectionState(models.TextChoices):
    PENDING = "pending", _("Pending")
    ACTIVE = "active", _("Active")
    DEGRADED = "degraded", _("Retrying")
    NEEDS_REAUTH = "needs_reauth", _("Sign in again")
    PAUSED = "paused", _("Paused")
    REMOVED = "removed", _("Removed")


class ImportPolicy(models.TextChoices):
    """Which of the companies that a consent reaches others than its owner may import."""

    ALL = "all", _("All companies")
    SELECTED = "selected", _("Selected companies")
    NONE = "none", _("None")


class Connection(TenantModel):
    """An organisation's link to one accounting system, as signed in by `account`. `reason` explains a state
    to a person.

    `degraded_since` is set while the state is degraded; `probe_count` counts the calls made since then,
    `next_probe_at` is when the next one is due. `pending_owner` takes over by signing in at the vendor; until
    then it runs on the old owner's account. `expiry_notified_for` is the end of the consent that a
    notification was sent about.
    """

    connector = models.CharField(max_length=60)
    app = models.ForeignKey(AppRegistration, on_delete=models.PROTECT, related_name="connections")
    owner = models.ForeignKey(
        Membership, on_delete=models.PROTECT, db_constraint=False, related_name="connections"
    )
    account = models.CharField(max_length=200)
    state = models.CharField(max_length=20, choices=ConnectionState, default=ConnectionState.PENDING)
    reason = models.TextField(default="")
    created_at = models.DateTimeField(auto_now_add=True)
    last_contact_at = models.DateTimeField(null=True)
    degraded_since = models.DateTimeField(null=True)
    probe_count = models.IntegerField(default=0)
    next_probe_at = models.DateTimeField(null=True)
    pending_owner = models.ForeignKey(
        Membership,
        null=True,
        on_delete=models.SET_NULL,
        db_constraint=False,
        related_name="pending_connections",
    )
    import_policy = models.CharField(max_length=20, choices=ImportPolicy, default=ImportPolicy.ALL)
    expiry_notified_for = models.DateTimeField(null=True)

    class Meta:
        db_table = "connections_connection"
        indexes = [models.Index(fields=["organisation", "connector"], name="connections_by_connector")]

    def __str__(self) -> str:
        return f"{self.connector} {self.account}"

    def get_absolute_url(self) -> str:
        return reverse("connections:detail", args=[self.pk])


class GrantReason(models.TextChoices):
    """Why a grant gives no tokens, as Koppel knows it; other codes come from the connector.

    SUPERSEDED: revoked, because another grant reaches its companies or they are no longer read.
    """

    ANSWER_LOST = "answer_lost"
    NO_GRANT = "no_grant"
    NO_REFRESH_TOKEN = "no_refresh_token"  # noqa: S105 - a code
    SUPERSEDED = "retired"
    UNKNOWN = "lost"


class Grant(TenantModel):
    """One consent: one set of tokens. `subject` is the vendor's immutable id of the user who signed in.

    `generation` counts stored token responses. `refresh_started_at` is the committed intent of a refresh
    whose response is not stored yet; `refresh_error` says why not: '' while the call is under way, and after
    a crash. `refresh_token` NULL: none was given. `failures` counts failed calls in a row that no person has
    to act on; no other is made before `retry_at`. `maintain_at` is when token maintenance should check this
    grant, NULL = never. `last_forced_refresh_at`: when an access token was last renewed because the vendor
    refused it. `invalid_since` NULL = the grant gives tokens; `invalid_reason` is `code: message`.

    `account` is the readable name of `subject`. `is_pending_transfer`: given by a pending owner, and not used
    until the grant is known to reach the same companies. `transferred_by`: the membership that signed in to
    take over.
    """

    connection = models.ForeignKey(
        Connection, on_delete=models.CASCADE, db_constraint=False, related_name="grants"
    )
    subject = models.CharField(max_length=200)
    account = models.CharField(max_length=200, default="")
    is_pending_transfer = models.BooleanField(default=False)
    transferred_by = models.BigIntegerField(null=True)
    company_id = models.CharField(max_length=200, default="")
    access_token = EncryptedField()
    refresh_token = EncryptedField(null=True)
    issued_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    refresh_expires_at = models.DateTimeField(null=True)
    scope = models.TextField(default="")
    generation = models.IntegerField(default=1)
    refresh_started_at = models.DateTimeField(null=True)
    refresh_error = models.CharField(max_length=60, default="")
    failures = models.IntegerField(default=0)
    failure_code = models.CharField(max_length=60, default="")
    failure_reason = models.TextField(default="")
    retry_at = models.DateTimeField(null=True)
    maintain_at = models.DateTimeField(null=True)
    last_forced_refresh_at = models.DateTimeField(null=True)
    invalid_since = models.DateTimeField(null=True)
    invalid_reason = models.TextField(default="")

    class Meta:
        db_table = "connections_grant"
        constraints = [
            models.UniqueConstraint(
                fields=["organisation", "connection", "subject", "company_id"], name="grant_once"
            )
        ]
        indexes = [
            models.Index(
                fields=["maintain_at"], name="grants_to_maintain", condition=models.Q(invalid_since=None)
            ),
        ]

    def __str__(self) -> str:
        return f"grant {self.pk} of connection {self.connection_id}"


class RemoteCompany(TenantModel):
    """A company that a grant reaches, as the vendor lists it; not necessarily imported. Identity is filled in
    by a background job.

    `external_id` is the vendor's immutable id; `name` is as listed, `legal_name` as the company describes
    itself. `unreachable_reason` '' = can be reached. `is_listed`: the vendor's last list had it, at
    `last_listed_at`. `branches` are organisations or branches within the company: [code, name, number].
    `importable_by_others`: by members who do not own the connection. `failing_since`: since then no call
    about this company was answered, and Koppel tries again.

    `confirmed_name` and `confirmed_number` are the name and number that a person last confirmed of an
    imported company, '' = not known then. `conflict_detected_at` is set while the vendor describes another
    company under this id: `conflicting_name` and `conflicting_number` are the name and number of that
    company, and nothing is read until a person decides. `conflict_rejected_at` is when a person rejected it.
    """

    connection = models.ForeignKey(
        Connection, on_delete=models.CASCADE, db_constraint=False, related_name="companies"
    )
    grant = models.ForeignKey(Grant, on_delete=models.CASCADE, db_constraint=False, related_name="companies")
    external_id = models.CharField(max_length=200)
    name = models.CharField(max_length=300)
    legal_name = models.CharField(max_length=300, default="")
    code = models.CharField(max_length=100, default="")
    routing = TypedJSONField(dict[str, str], default=dict)
    number = models.CharField(max_length=100, default="")
    vat_number = models.CharField(max_length=100, default="")
    country = models.CharField(max_length=2, default="")
    base_currency = models.CharField(max_length=3, default="")
    industry_code = models.CharField(max_length=60, default="")
    branches = TypedJSONField(list[tuple[str, str, str | None]], default=list)
    described_at = models.DateTimeField(null=True)
    unreachable_code = models.CharField(max_length=60, default="")
    unreachable_reason = models.TextField(default="")
    importable_by_others = models.BooleanField(default=True)
    is_listed = models.BooleanField(default=False)
    last_listed_at = models.DateTimeField(null=True)
    last_contact_at = models.DateTimeField(null=True)
    failing_since = models.DateTimeField(null=True)
    failing_reason = models.TextField(default="")
    confirmed_name = models.CharField(max_length=300, default="", db_default="")
    confirmed_number = models.CharField(max_length=100, default="", db_default="")
    conflicting_name = models.CharField(max_length=300, default="", db_default="")
    conflicting_number = models.CharField(max_length=100, default="", db_default="")
    conflict_detected_at = models.DateTimeField(null=True)
    conflict_rejected_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "connections_remote_company"
        constraints = [
            models.UniqueConstraint(
                fields=["organisation", "connection", "external_id"], name="remote_company_once"
            )
        ]

    def __str__(self) -> str:
        return self.name


class TimelineKind(models.TextChoices):
    """The kind of a timeline event; its label is the message, filled with the event's context."""

    CONNECTED = "connected", _("Connected as %(account)s")
    RECONNECTED = "reconnected", _("Signed in again as %(account)s")
    COMPANY_ADDED = "company_added", _("Company added with a sign-in as %(account)s")
    LOST = "lost", _("Consent lost")
    PARTLY_LOST = "partly_lost", _("Consent lost for %(companies)s")
    REFRESHED = "refreshed", _("Tokens renewed")
    DEGRADED = "degraded", _("The accounting system did not respond")
    RECOVERED = "recovered", _("The accounting system responds again")
    CONSENT_EXPIRING = "consent_expiring", _("The consent ends on %(day)s; the owner was notified")
    PAUSED = "paused", _("Paused")
    RESUMED = "resumed", _("Resumed")
    TRANSFER_REQUESTED = "transfer_requested", _("%(owner)s was asked to take over")
    TRANSFER_CANCELLED = "transfer_cancelled", _("%(owner)s remains owner")
    OWNER_CHANGED = "owner_changed", _("%(owner)s took over the connection; it now uses %(account)s")
    IMPORT_POLICY_CHANGED = "import_policy_changed", _("Companies shared with colleagues: %(count)s")
    REMOVED = "removed", _("Removed")
    REVOKED = "revoked", _("Tokens of %(account)s revoked at the accounting system")
    COMPANY_UNLISTED = "company_unlisted", _("%(name)s cannot be reached any more")
    COMPANY_RELISTED = "company_relisted", _("%(name)s can be reached again")
    COMPANY_ACCESS_LOST = "company_access_lost", _("Lost access to %(name)s")
    COMPANY_ACCESS_RESTORED = "company_access_restored", _("Access to %(name)s restored")
    COMPANY_RENAMED = "company_renamed", _("%(old)s was renamed to %(new)s")
    COMPANY_CODE_CHANGED = "company_code_changed", _("%(name)s: code changed to %(new)s")
    COMPANY_NUMBER_CHANGED = "company_number_changed", _("%(name)s: number changed to %(new)s")
    OTHER_COMPANY = (
        "other_company",
        _("%(old)s (%(old_number)s) is now %(new)s (%(new_number)s): syncing stopped until you decide"),
    )
    COMPANY_RESTORED = "company_restored", _("%(name)s is the confirmed company again")
    SAME_COMPANY_CONFIRMED = (
        "same_company_confirmed",
        _("%(new)s (%(new_number)s) was confirmed as the same company as %(old)s"),
    )


class TimelineEvent(TenantModel):
    """An event of a connection's timeline. An event with a duration has an end in `ended_at` (NULL until
    then); repeated events are stored as one, with their number in `count`. `context` fills the message of its
    `kind`.
    """

    connection = models.ForeignKey(
        Connection, on_delete=models.CASCADE, db_constraint=False, related_name="events"
    )
    at = models.DateTimeField(default=timezone.now)
    ended_at = models.DateTimeField(null=True)
    count = models.IntegerField(default=1)
    kind = models.CharField(max_length=40)
    context = TypedJSONField(MessageContext, default=dict)
    actor_name = models.CharField(max_length=200, default="")

    class Meta:
        db_table = "connections_timeline_event"
        indexes = [models.Index(fields=["organisation", "connection", "-at"], name="timeline")]

    def __str__(self) -> str:
        return f"{self.kind} of connection {self.connection_id}"


class ConsentPurpose(models.TextChoices):
    CONNECT = "connect", _("New connection")
    ADD_COMPANY = "add_company", _("Add another company")
    RECONNECT = "reconnect", _("Sign in again")
    TRANSFER = "transfer", _("Take over connection")


class ConsentAttempt(TenantModel):
    """One sign-in under way at the vendor. Only the SHA-256 of `state` is kept; `secrets` holds verifier and
    nonce, afterwards the token of a refused consent, until that is withdrawn at the vendor.

    Bound to the person who began it. `callback` holds the encrypted inbound parameters, stored before they
    are used (`form_post` arrives without our cookies). `consumed_at`: completed or refused once; a replayed
    `state` finds the attempt consumed, and `granted_at` or `error` (`code: message`) is its outcome. Both
    columns of secrets are empty once the code was used, or the attempt has expired.
    `browser_hash` '' = not bound to a browser. `return_path` is a path within Koppel. `connection` is set
    when the sign-in is for a connection that exists.
    """

    membership = models.ForeignKey(
        Membership, on_delete=models.CASCADE, db_constraint=False, related_name="+"
    )
    app = models.ForeignKey(AppRegistration, on_delete=models.PROTECT, related_name="+")
    connection = models.ForeignKey(
        Connection, null=True, on_delete=models.CASCADE, db_constraint=False, related_name="+"
    )
    purpose = models.CharField(max_length=20, choices=ConsentPurpose)
    state_hash = models.CharField(max_length=64, unique=True)
    browser_hash = models.CharField(max_length=64, default="")
    secrets = EncryptedField()
    callback = EncryptedField(null=True)
    return_path = models.CharField(max_length=300)
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField()
    callback_at = models.DateTimeField(null=True)
    consumed_at = models.DateTimeField(null=True)
    granted_at = models.DateTimeField(null=True)
    error = models.TextField(default="")

    class Meta:
        db_table = "connections_consent_attempt"

    def __str__(self) -> str:
        return f"consent attempt {self.pk}"


RateLimitState = dict[str, Any]
"""Open here: only `rate_limits` reads and writes it, by SQL, as its `QuotaState`."""


class RateLimit(models.Model):
    """How many calls are left for one company through one app registration, for all workers and organisations
    together: the vendor counts per company and client, for all callers. `company` '' = the app registration
    as a whole (errors only), `token endpoint` = its token endpoint (pauses only).

    `state` is a `koppel.connections.rate_limits.quota.QuotaState`. Of the installation: only its scope sees
    these rows.
    """

    pk = models.CompositePrimaryKey("app_id", "company")
    app_id = models.BigIntegerField()
    company = models.TextField()
    state = TypedJSONField(RateLimitState, default=dict)
    updated_at = models.DateTimeField()

    class Meta:
        db_table = "connections_rate_limit"

    def __str__(self) -> str:
        return f"rate limit of {self.company} through app {self.app_id}"
