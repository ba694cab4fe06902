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
    """Client id and secret at the vendor, for one environment.

    A removed one stays for the history, without its secret.
    """

    id = models.BigAutoField(primary_key=True)
    organisation = models.ForeignKey(Organisation, null=True, on_delete=models.PROTECT, related_name="+")
    """NULL: the app registration belongs to the installation."""
    connector = models.CharField(max_length=60)
    environment = models.CharField(max_length=40)
    consent_mode = models.CharField(max_length=40)
    name = models.CharField(max_length=120, default="")
    """The firm's own word for the app registration; '' where it has none."""
    client_id = models.CharField(max_length=200)
    client_secret = EncryptedField()
    base_urls = TypedJSONField(dict[str, str], default=dict)
    """Override those of the environment (a sandbox on another port)."""
    refresh_token_days = models.PositiveSmallIntegerField(null=True)
    """The lifetime of a refresh token, where the app may choose and the vendor does not say."""
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
    """The companies of a connection that members other than its owner may import."""

    ALL = "all", _("All companies")
    SELECTED = "selected", _("Selected companies")
    NONE = "none", _("None")


class Connection(TenantModel):
    """An organisation's link to one accounting system."""

    connector = models.CharField(max_length=60)
    app = models.ForeignKey(AppRegistration, on_delete=models.PROTECT, related_name="connections")
    owner = models.ForeignKey(
        Membership, on_delete=models.PROTECT, db_constraint=False, related_name="connections"
    )
    account = models.CharField(max_length=200)
    """The account that signed in."""
    state = models.CharField(max_length=20, choices=ConnectionState, default=ConnectionState.PENDING)
    reason = models.TextField(default="")
    """Explains the state to a person."""
    created_at = models.DateTimeField(auto_now_add=True)
    last_contact_at = models.DateTimeField(null=True)
    degraded_since = models.DateTimeField(null=True)
    """Set while the state is degraded."""
    probe_count = models.IntegerField(default=0)
    """The number of calls made since then."""
    next_probe_at = models.DateTimeField(null=True)
    """When the next of these calls is due."""
    pending_owner = models.ForeignKey(
        Membership,
        null=True,
        on_delete=models.SET_NULL,
        db_constraint=False,
        related_name="pending_connections",
    )
    """Takes over by signing in at the vendor; until then the connection runs on the old owner's account."""
    import_policy = models.CharField(max_length=20, choices=ImportPolicy, default=ImportPolicy.ALL)
    expiry_notified_for = models.DateTimeField(null=True)
    """The end of the consent that a notification was sent about."""

    class Meta:
        db_table = "connections_connection"
        indexes = [models.Index(fields=["organisation", "connector"], name="connections_by_connector")]

    def __str__(self) -> str:
        return f"{self.connector} {self.account}"

    def get_absolute_url(self) -> str:
        return reverse("connections:detail", args=[self.pk])


class GrantReason(models.TextChoices):
    """The reasons why a grant gives no tokens, as Koppel knows them; other codes come from the connector."""

    ANSWER_LOST = "answer_lost"
    NO_GRANT = "no_grant"
    NO_REFRESH_TOKEN = "no_refresh_token"  # noqa: S105 - a code
    SUPERSEDED = "superseded"
    """Revoked, because another grant reaches its companies or they are no longer read."""
    UNKNOWN = "unknown"


class FailureKind(models.TextChoices):
    """The kinds of failed calls of the token endpoint after which Koppel tries again."""

    CONSENT_LOST = "consent_lost"
    RATE_LIMITED = "rate_limited"
    SETUP_MISSING = "setup_missing"
    UNREACHABLE = "unreachable"
    """Any other failure."""


class Grant(TenantModel):
    """One consent: one set of tokens."""

    connection = models.ForeignKey(
        Connection, on_delete=models.CASCADE, db_constraint=False, related_name="grants"
    )
    subject = models.CharField(max_length=200)
    """The vendor's immutable id of the user who signed in."""
    account = models.CharField(max_length=200, default="")
    """The readable name of the subject."""
    is_pending_transfer = models.BooleanField(default=False)
    """Whether a pending owner gave the grant. It is not used until it is known to reach the same companies.
    """
    transferred_by = models.BigIntegerField(null=True)
    """The membership that signed in to take over."""
    company_id = models.CharField(max_length=200, default="")
    access_token = EncryptedField()
    refresh_token = EncryptedField(null=True)
    """NULL: none was given."""
    issued_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    refresh_expires_at = models.DateTimeField(null=True)
    scope = models.TextField(default="")
    generation = models.IntegerField(default=1)
    """The number of token responses that were stored."""
    refresh_started_at = models.DateTimeField(null=True)
    """The committed intent of a refresh whose response is not stored yet."""
    refresh_error = models.CharField(max_length=60, default="")
    """Why that response is not stored: '' while the call is under way, and after a crash."""
    failures = models.IntegerField(default=0)
    """The number of failed calls in a row that no person has to act on."""
    failure_kind = models.CharField(max_length=20, default="", choices=FailureKind)
    failure_code = models.CharField(max_length=60, default="")
    """The code of the connector's error."""
    failure_reason = models.TextField(default="")
    """What to tell the person."""
    retry_at = models.DateTimeField(null=True)
    """No call is made before this moment after such a failure."""
    maintain_at = models.DateTimeField(null=True)
    """When token maintenance should check the grant; NULL: never."""
    last_forced_refresh_at = models.DateTimeField(null=True)
    """When an access token was last renewed because the vendor refused it."""
    invalid_since = models.DateTimeField(null=True)
    """NULL: the grant gives tokens."""
    invalid_code = models.CharField(max_length=60, default="")
    """A `GrantReason`, or the code of the connector's error."""
    invalid_reason = models.TextField(default="")
    """What to tell the person."""

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
    """A company that a grant reaches, as the vendor lists it; not necessarily imported.

    A background job fills in its identity. While the vendor describes another company under the id of an
    imported one, nothing is read until a person decides.
    """

    connection = models.ForeignKey(
        Connection, on_delete=models.CASCADE, db_constraint=False, related_name="companies"
    )
    grant = models.ForeignKey(Grant, on_delete=models.CASCADE, db_constraint=False, related_name="companies")
    external_id = models.CharField(max_length=200)
    """The vendor's immutable id."""
    name = models.CharField(max_length=300)
    """The name in the vendor's list."""
    legal_name = models.CharField(max_length=300, default="")
    """The name by which the company describes itself."""
    code = models.CharField(max_length=100, default="")
    routing = TypedJSONField(dict[str, str], default=dict)
    number = models.CharField(max_length=100, default="")
    vat_number = models.CharField(max_length=100, default="")
    country = models.CharField(max_length=2, default="")
    base_currency = models.CharField(max_length=3, default="")
    industry_code = models.CharField(max_length=60, default="")
    branches = TypedJSONField(list[tuple[str, str, str | None]], default=list)
    """Organisations or branches within the company: [code, name, number]."""
    described_at = models.DateTimeField(null=True)
    unreachable_code = models.CharField(max_length=60, default="")
    unreachable_reason = models.TextField(default="")
    """'' = can be reached."""
    importable_by_others = models.BooleanField(default=True)
    """Whether members who do not own the connection may import the company."""
    is_listed = models.BooleanField(default=False)
    """Whether the vendor's last list had the company."""
    last_listed_at = models.DateTimeField(null=True)
    """The time of the last list that had the company."""
    last_contact_at = models.DateTimeField(null=True)
    failing_since = models.DateTimeField(null=True)
    """Since then no call about this company was answered, and Koppel tries again."""
    failing_reason = models.TextField(default="")
    confirmed_name = models.CharField(max_length=300, default="", db_default="")
    """The name that a person last confirmed of an imported company; '' = not known then."""
    confirmed_number = models.CharField(max_length=100, default="", db_default="")
    """The number that a person confirmed with the name."""
    conflicting_name = models.CharField(max_length=300, default="", db_default="")
    """The name of the other company that the vendor describes under this id."""
    conflicting_number = models.CharField(max_length=100, default="", db_default="")
    """The number of that other company."""
    conflict_detected_at = models.DateTimeField(null=True)
    """Set while the vendor describes another company under this id."""
    conflict_rejected_at = models.DateTimeField(null=True)
    """When a person rejected the other company."""

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
    """An event of a connection's timeline. Repeated events are stored as one."""

    connection = models.ForeignKey(
        Connection, on_delete=models.CASCADE, db_constraint=False, related_name="events"
    )
    at = models.DateTimeField(default=timezone.now)
    ended_at = models.DateTimeField(null=True)
    """The end of an event with a duration; NULL until then."""
    count = models.IntegerField(default=1)
    """How often the event was repeated."""
    kind = models.CharField(max_length=40)
    context = TypedJSONField(MessageContext, default=dict)
    """Fills the message of the kind."""
    companies = TypedJSONField(list[int], default=list)
    """The remote companies, by id, that it is about; `[]` when it is about the connection itself."""
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


class ConsentRefusal(models.TextChoices):
    """The ways in which Koppel refuses a sign-in; other codes come from the connector."""

    ALREADY_USED = "already_used"
    COMPANIES_MISSING = "companies_missing"
    ENCRYPTION_KEY_MISSING = "encryption_key_missing"
    EXPIRED = "expired"
    FORM_UNSUPPORTED = "form_unsupported"
    OTHER_ACCOUNT = "other_account"
    OTHER_BROWSER = "other_browser"
    OTHER_COMPANY = "other_company"
    REMOVED = "removed"
    RESPONSE_MISSING = "response_missing"
    TOKEN_PAUSE = "token_pause"  # noqa: S105 - a code
    TRANSFER_NOT_REQUESTED = "transfer_not_requested"
    UNEXPECTED_RESPONSE = "unexpected_response"
    UNKNOWN_ATTEMPT = "unknown_attempt"
    UNKNOWN_COMPANY = "unknown_company"


class ConsentAttempt(TenantModel):
    """One sign-in under way at the vendor, bound to the person who began it.

    `secrets` and `authorisation_response` are empty once the code was used, or the attempt has expired.
    """

    membership = models.ForeignKey(
        Membership, on_delete=models.CASCADE, db_constraint=False, related_name="+"
    )
    app = models.ForeignKey(AppRegistration, on_delete=models.PROTECT, related_name="+")
    connection = models.ForeignKey(
        Connection, null=True, on_delete=models.CASCADE, db_constraint=False, related_name="+"
    )
    """Set when the sign-in is for a connection that exists."""
    purpose = models.CharField(max_length=20, choices=ConsentPurpose)
    state_hash = models.CharField(max_length=64, unique=True)
    """The SHA-256 of `state`, which itself is not kept."""
    browser_hash = models.CharField(max_length=64, default="")
    """'' = not bound to a browser."""
    secrets = EncryptedField()
    """Verifier and nonce."""
    unused_token = EncryptedField(null=True)
    """The token of a refused or replaced consent, until the vendor revoked it; NULL: none."""
    authorisation_response = EncryptedField(null=True)
    """Its parameters, stored before they are used (`form_post` arrives without Koppel's cookies)."""
    return_path = models.CharField(max_length=300)
    """A path within Koppel."""
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField()
    responded_at = models.DateTimeField(null=True)
    consumed_at = models.DateTimeField(null=True)
    """When the attempt was completed or refused, which happens once: a replayed `state` finds it consumed."""
    granted_at = models.DateTimeField(null=True)
    """Set if the outcome is a grant."""
    refusal_code = models.CharField(max_length=60, default="")
    """A `ConsentRefusal`, or the code of the connector's error; '' = not refused."""
    refusal_message = models.TextField(default="")
    """What to tell the person."""

    class Meta:
        db_table = "connections_consent_attempt"

    def __str__(self) -> str:
        return f"consent attempt {self.pk}"


RateLimitState = dict[str, Any]
"""Open here: only `rate_limits` reads and writes it, by SQL, as its `QuotaState`."""


class RateLimit(models.Model):
    """The calls left for one company through one app registration, for all workers and organisations
    together.

    The vendor counts per company and client, for all callers. Of the installation: only its scope sees these
    rows.
    """

    pk = models.CompositePrimaryKey("app_id", "company")
    app_id = models.BigIntegerField()
    company = models.TextField()
    """'' = the app registration as a whole (errors only), `token endpoint` = its token endpoint (pauses
    only).
    """
    state = TypedJSONField(RateLimitState, default=dict)
    """A `koppel.connections.rate_limits.quota.QuotaState`."""
    updated_at = models.DateTimeField()

    class Meta:
        db_table = "connections_rate_limit"

    def __str__(self) -> str:
        return f"rate limit of {self.company} through app {self.app_id}"
