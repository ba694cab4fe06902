"""Tables of the firm: organisation, people, divisions, templates."""

from enum import StrEnum
from typing import Any, ClassVar, TypedDict
from urllib.parse import urlsplit

from django.contrib.auth.models import AbstractUser, BaseUserManager
from django.db import models
from django.db.models.functions import Lower
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from koppel.kit.database.json_fields import TypedJSONField
from koppel.kit.encryption.fields import EncryptedField
from koppel.kit.tenancy.models import TenantModel
from koppel.organisations.domain_names import RECORD_LABEL, RECORD_PREFIX, displayed, domain_of, normalised
from koppel.organisations.preference_types import Preferences
from koppel.organisations.roles import PERMISSIONS, Permission, Role


class UserManager(BaseUserManager["User"]):
    def create_user(self, email: str, password: str | None = None, **fields: Any) -> "User":
        user = self.model(email=self.normalize_email(email), **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user


class User(AbstractUser):
    """A person who signs in by e-mail and belongs to organisations through `Membership`.

    `language` '' follows the browser. `last_organisation`: chosen last by the person, in a session opened
    with their own credentials; a sign-in opens it again. `known_browsers_version`: a browser whose cookie
    names an older one is unknown (`web.auth.login_throttling`). `is_operator`: operates this installation,
    and may read an organisation's data while it consents (`operator_access_until`).
    """

    username = None  # type: ignore[assignment]
    first_name = None  # type: ignore[assignment]
    last_name = None  # type: ignore[assignment]
    email = models.EmailField(_("e-mail address"), unique=True)
    name = models.CharField(_("name"), max_length=200)
    language = models.CharField(max_length=5, default="", blank=True)
    is_operator = models.BooleanField(default=False)
    last_organisation = models.BigIntegerField(null=True)
    known_browsers_version = models.PositiveIntegerField(default=0)

    USERNAME_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = ["name"]
    objects = UserManager()  # type: ignore[assignment,misc]

    class Meta:
        db_table = "organisations_user"

    def __str__(self) -> str:
        return self.name or self.email


class SettingsMap(TypedDict, total=False):
    """Stored settings: a missing key is not set. `settings_schema` defines the values."""

    resources: list[str]
    fiscal_years_back: int
    schedule: str
    full_comparison_weekday: int
    notify: dict[str, str]


class Organisation(models.Model):
    """The accounting firm: the tenant.

    `settings` are the defaults below every template (see `administrations.effective_settings`).
    `requires_sso`: while the identity provider is switched on, only its sessions open this organisation.
    `email_domains` [] = any address is allowed. `networks` [] = members sign in from anywhere.
    `operator_access_until`: operators of the installation may read until then. `brand_colour` (`#0f766e`) ''
    = Koppel's.
    """

    id = models.BigAutoField(primary_key=True)
    name = models.CharField(max_length=200)
    settings = TypedJSONField(SettingsMap, default=dict)
    requires_mfa = models.BooleanField(default=False)
    requires_sso = models.BooleanField(default=False)
    email_domains = TypedJSONField(list[str], default=list)
    networks = TypedJSONField(list[str], default=list)
    audit_years = models.PositiveSmallIntegerField(default=7)
    operator_access_until = models.DateTimeField(null=True)
    brand_colour = models.CharField(max_length=7, default="", blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        db_table = "organisations_organisation"

    def __str__(self) -> str:
        return self.name

    def accepts(self, email: str) -> bool:
        """Return whether people may have an address of this domain."""
        return not self.email_domains or domain_of(email) in map(normalised, self.email_domains)


class Logo(TenantModel):
    """The organisation's picture, beside its name on every page. `digest`: the first half of the SHA-256 of
    `content`, which is part of its address.
    """

    media_type = models.CharField(max_length=20)
    content = models.BinaryField()
    digest = models.CharField(max_length=32)

    class Meta:
        db_table = "organisations_logo"
        constraints = [models.UniqueConstraint(fields=["organisation"], name="one_logo_per_organisation")]

    def __str__(self) -> str:
        return self.digest


class Membership(TenantModel):
    """A person in an organisation, with one role.

    `expires_at` ends it automatically. `joined_at`: when the person became a member themselves, by accepting
    the invitation or by choosing the organisation in a session opened with their own credentials. None:
    only the organisation, or its identity provider, states the membership; it then changes nothing for the
    person elsewhere. `access_restored_at`: access was restored, and the person has not chosen to work there
    since. A sign-in does not open such a membership, and it still protects the person's account.
    """

    user = models.ForeignKey(User, on_delete=models.PROTECT, related_name="memberships")
    role = models.CharField(max_length=20, choices=Role)
    is_active = models.BooleanField(default=True)
    expires_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)
    joined_at = models.DateTimeField(null=True, default=timezone.now)
    access_restored_at = models.DateTimeField(null=True)
    preferences = TypedJSONField(Preferences, default=dict)

    class Meta:
        db_table = "organisations_membership"
        constraints = [
            models.UniqueConstraint(fields=["organisation", "user"], name="one_membership_per_organisation")
        ]

    def __str__(self) -> str:
        return f"{self.user} ({self.role})"

    @property
    def is_live(self) -> bool:
        """Return whether the membership is neither deactivated nor expired."""
        return self.is_active and (self.expires_at is None or self.expires_at > timezone.now())


class Division(TenantModel):
    """A group of users and administrations."""

    name = models.CharField(max_length=120)
    archived_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "organisations_division"
        constraints = [models.UniqueConstraint(fields=["organisation", "name"], name="division_name_once")]

    def __str__(self) -> str:
        return self.name


class DivisionMember(TenantModel):
    division = models.ForeignKey(
        Division, on_delete=models.CASCADE, db_constraint=False, related_name="members"
    )
    membership = models.ForeignKey(
        Membership, on_delete=models.CASCADE, db_constraint=False, related_name="divisions"
    )

    class Meta:
        db_table = "organisations_division_member"
        constraints = [
            models.UniqueConstraint(
                fields=["organisation", "division", "membership"], name="division_member_once"
            )
        ]

    def __str__(self) -> str:
        return f"{self.membership_id} in {self.division_id}"


class Template(TenantModel):
    """A named set of settings. `settings` holds only what the template sets: resources, fiscal_years_back,
    schedule, full_comparison_weekday, notify.
    """

    name = models.CharField(max_length=120)
    settings = TypedJSONField(SettingsMap, default=dict)
    archived_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "organisations_template"
        constraints = [models.UniqueConstraint(fields=["organisation", "name"], name="template_name_once")]

    def __str__(self) -> str:
        return self.name


class ApiToken(TenantModel):
    """A member's key for programs. Only its SHA-256 is stored, with the last characters to recognise it.

    Its rights are those of its member, limited to `role` ('' = no limit); `used_in_minute` counts the
    requests of `minute`.
    """

    membership = models.ForeignKey(
        Membership, on_delete=models.CASCADE, db_constraint=False, related_name="tokens"
    )
    name = models.CharField(max_length=100)
    hash = models.BinaryField(max_length=32, unique=True)
    ends_with = models.CharField(max_length=8)
    role = models.CharField(max_length=20, choices=Role, default="", blank=True)
    read_only = models.BooleanField(default=True)
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField()
    revoked_at = models.DateTimeField(null=True)
    last_used_at = models.DateTimeField(null=True)
    last_used_from = models.TextField(default="")
    minute = models.DateTimeField(null=True)
    used_in_minute = models.IntegerField(default=0)

    class Meta:
        db_table = "organisations_api_token"
        indexes = [models.Index(fields=["organisation", "membership"], name="tokens_of_member")]

    def __str__(self) -> str:
        return self.name

    @property
    def has_expired(self) -> bool:
        return self.expires_at <= timezone.now()


class Invitation(TenantModel):
    """A person invited by email to become a member.

    `sends` counts the emails: only the link of the last one is valid. `invited_by` None: the operator invited
    the first Administrator from the shell.
    """

    email = models.EmailField()
    name = models.CharField(max_length=200, default="", blank=True)
    role = models.CharField(max_length=20, choices=Role)
    divisions = TypedJSONField(list[int], default=list)
    member_until = models.DateTimeField(null=True)
    invited_by = models.ForeignKey(
        Membership, on_delete=models.PROTECT, db_constraint=False, related_name="+", null=True
    )
    language = models.CharField(max_length=5)
    sends = models.IntegerField(default=1)
    valid_until = models.DateTimeField()
    mail_failed = models.BooleanField(default=False)
    created_at = models.DateTimeField(auto_now_add=True)
    accepted_at = models.DateTimeField(null=True)
    revoked_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "organisations_invitation"
        constraints = [
            models.UniqueConstraint(
                "organisation",
                Lower("email"),
                condition=models.Q(accepted_at=None, revoked_at=None),
                name="one_open_invitation",
            )
        ]

    def __str__(self) -> str:
        return self.email

    @property
    def has_lapsed(self) -> bool:
        return self.valid_until <= timezone.now()

    @property
    def is_outside_domains(self) -> bool:
        """The organisation's rule changed after the invitation, which cannot be accepted unless the rule
        changes again.
        """
        return not self.organisation.accepts(self.email)

    @property
    def is_sender_authorized(self) -> bool:
        """Whether the sender may still give this role; if not, a colleague who may sends it again."""
        sender = self.invited_by
        if sender is None:
            return True
        may_invite = sender.is_live and sender.role in PERMISSIONS[Permission.MANAGE_PEOPLE]
        return may_invite and (self.role != Role.ADMINISTRATOR or sender.role == Role.ADMINISTRATOR)


class IdentityProvider(TenantModel):
    """The organisation's own identity provider (OpenID Connect). It vouches for people here and nowhere else.

    A row without `client_id` is only prepared: its number is part of the redirect address, which must be
    registered before the provider issues a client id.
    """

    name = models.CharField(max_length=100)
    issuer = models.URLField(max_length=300)
    client_id = models.CharField(max_length=300)
    client_secret = EncryptedField(default=b"")
    is_active = models.BooleanField(default=False)
    revision = models.PositiveIntegerField(default=0)
    """Grows when the provider is changed or switched off: tests and metadata from before no longer count."""
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        db_table = "organisations_identity_provider"
        constraints = [models.UniqueConstraint(fields=["organisation"], name="one_provider_per_organisation")]

    def __str__(self) -> str:
        return self.name

    @property
    def is_complete(self) -> bool:
        return bool(self.client_id)

    @property
    def host(self) -> str:
        """The provider's host, as people see it in the address bar."""
        parts = urlsplit(self.issuer)
        name = normalised(parts.hostname or "")
        return f"{name}:{parts.port}" if parts.port else name


class FederatedIdentity(TenantModel):
    """A person's identity at an identity provider: its `issuer` and the lasting `subject` there, never the
    e-mail address.

    A link stays with the issuer at which it was made: when the organisation configures another, it opens
    nothing.
    """

    provider = models.ForeignKey(
        IdentityProvider, on_delete=models.CASCADE, db_constraint=False, related_name="subjects"
    )
    issuer = models.CharField(max_length=300, default="")
    subject = models.CharField(max_length=255)
    membership = models.ForeignKey(
        Membership, on_delete=models.CASCADE, db_constraint=False, related_name="subjects"
    )
    email = models.EmailField(max_length=254, default="")
    """The verified address at the provider when the link was made; '' unknown."""
    is_approved = models.BooleanField(default=True)
    """False: an Administrator must approve the link first, because the address is not the account's."""
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        db_table = "organisations_federated_identity"
        constraints = [
            models.UniqueConstraint(fields=["organisation", "issuer", "subject"], name="subject_once"),
            models.UniqueConstraint(
                fields=["organisation", "membership", "issuer"], name="one_subject_per_member"
            ),
        ]

    def __str__(self) -> str:
        return self.subject


class DomainState(StrEnum):
    """Whether the sign-in page leads addresses of a domain to the organisation's identity provider."""

    WAITING = "waiting"
    VERIFIED = "verified"
    LAPSED = "lapsed"


class DomainMethod(models.TextChoices):
    """How a domain was verified."""

    DNS = "dns"
    OPERATOR = "operator"


class DomainCheck(models.TextChoices):
    """What a look-up of a domain's record found.

    `UNKNOWN`: no name server gave a valid answer. `OTHER_OWNER`: the record is there, and the domain belongs
    to another organisation.
    """

    PRESENT = "present"
    MISSING = "missing"
    UNKNOWN = "unknown"
    OTHER_OWNER = "other_owner"


class EmailDomain(TenantModel):
    """A domain that an organisation says is its own, with the DNS record (`record_name`, `record_value`) that
    verifies it. A verified domain has one owner in the installation.

    `missing_since` and `missing_checks` count checks without the record since it was last found.
    `next_check_at` None: not checked by itself.
    """

    domain = models.CharField(max_length=253)
    record_token = models.CharField(max_length=64)
    method = models.CharField(max_length=10, choices=DomainMethod, default="", blank=True)
    added_at = models.DateTimeField(auto_now_add=True)
    verified_at = models.DateTimeField(null=True)
    lapsed_at = models.DateTimeField(null=True)
    checked_at = models.DateTimeField(null=True)
    check_result = models.CharField(max_length=20, choices=DomainCheck, default="", blank=True)
    missing_checks = models.PositiveIntegerField(default=0)
    missing_since = models.DateTimeField(null=True)
    next_check_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "organisations_email_domain"
        constraints = [
            models.UniqueConstraint(fields=["organisation", "domain"], name="email_domain_once"),
            models.UniqueConstraint(
                fields=["domain"],
                condition=models.Q(verified_at__isnull=False, lapsed_at=None),
                name="one_owner_per_domain",
            ),
        ]

    def __str__(self) -> str:
        return displayed(self.domain)

    @property
    def state(self) -> DomainState:
        if self.lapsed_at is not None:
            return DomainState.LAPSED
        return DomainState.WAITING if self.verified_at is None else DomainState.VERIFIED

    @property
    def is_verified(self) -> bool:
        return self.state is DomainState.VERIFIED

    @property
    def record_name(self) -> str:
        return f"{RECORD_LABEL}.{self.domain}"

    @property
    def record_value(self) -> str:
        return f"{RECORD_PREFIX}{self.record_token}"


class UserSession(models.Model):
    """A session of a person, who may act in several organisations.

    `active_organisation_id` is the last chosen one, whose Administrators alone see the session.
    `sso_organisation_id` is the one whose identity provider opened it.
    """

    session_key = models.CharField(max_length=40, unique=True)
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="sessions")
    active_organisation_id = models.BigIntegerField(null=True)
    sso_organisation_id = models.BigIntegerField(null=True)
    address = models.TextField(default="")
    browser = models.CharField(max_length=300, default="")
    started_at = models.DateTimeField(auto_now_add=True)
    last_seen_at = models.DateTimeField()

    class Meta:
        db_table = "organisations_user_session"

    def __str__(self) -> str:
        return f"{self.user_id} from {self.address}"
