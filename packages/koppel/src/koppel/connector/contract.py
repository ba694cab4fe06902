"""The interface of a connector: stateless protocol code.

Vault, cursors, quotas and storage belong to the hub. Every call names the company through its `Session`;
there is no "current company".
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Protocol, runtime_checkable

import msgspec

from koppel.connector.rows import Row
from koppel.kit.database.text import display_text
from koppel.kit.encryption import Secret
from koppel.kit.http.client import Response


class ReadMode(StrEnum):
    """The ways to read a resource; each resource lists its modes, best first.

    FULL and COMPARED are full reads: their end proves which records are absent at the source.
    """

    FULL = "full"
    """Everything."""
    MODIFIED_SINCE = "modified_since"
    """The changes since an incremental cursor."""
    COMPARED = "compared"
    """Everything, but a response that equals that of the previous read byte for byte is `unchanged` and has
    no records.
    """


class DeleteMode(StrEnum):
    """The ways to detect deletions at the source."""

    BY_ABSENCE = "by_absence"
    """A full read does not contain the record."""
    TOMBSTONES = "tombstones"
    """The source reports it."""
    NEVER_SEEN = "never_seen"
    """The source neither reports deletions nor lets a read prove them."""


@dataclass(frozen=True, kw_only=True)
class ConsentMode:
    """A way to consent."""

    key: str
    title: str
    explanation: str
    is_one_company_per_sign_in: bool = False
    """Whether one sign-in reaches one company, so that the wizard offers further sign-ins."""
    is_by_company_id: bool = False
    """Whether there is no sign-in. Companies are named by their id, and the app requests a token for each of
    them with its own credentials (`Connector.service_token`). Such a grant has a `company_id` and no refresh
    token.
    """
    company_id_kind: str = "company"
    """The kind of the vendor's ids. Of one kind, equal ids are the same company and others are not; over two
    kinds nothing follows from them.
    """
    company_id_pattern: str = ""
    """Finds company ids in a pasted text."""
    company_id_title: str = ""
    """The name of such an id at the vendor."""
    company_id_help: str = ""
    """Where to find the ids."""
    scopes: tuple[str, ...] = ()
    """Those that the app registration needs, if they differ from the descriptor's."""
    advice: str = ""
    """Advantages and disadvantages, shown where the mode is chosen."""
    account_title: str = ""
    """The name of the connection's account where no person signs in."""


@dataclass(frozen=True, kw_only=True)
class Environment:
    """An installation of the accounting system: production, the vendor's test, or a local sandbox."""

    key: str
    title: str
    base_urls: Mapping[str, str]
    """By name (`identity`, `api` …), without a trailing slash."""
    consent_modes: tuple[str, ...]


@dataclass(frozen=True)
class Descriptor:
    """Static facts about the accounting system. The connector translates its texts."""

    key: str
    title: str
    """The name that is shown."""
    scopes: tuple[str, ...]
    consent_modes: tuple[ConsentMode, ...]
    environments: tuple[Environment, ...]
    setup_requirements: str
    permissions_text: str
    identity_paths: tuple[str, ...]
    """The endings of the paths that list and describe companies: a session without an imported administration
    may call no others.
    """
    company_header: tuple[str, str] | None = None
    """The header (in lower case) that names the company of a call, and the key of `Company.routing` that it
    must equal; None if the token alone decides.
    """
    revokes_one_sign_in_only: bool = False
    """Whether `revoke` ends only the token's own sign-in, not a later sign-in of the same person. If it ends
    all consent of the person, or this is unknown, a sign-in that replaces another must not revoke it.
    """
    refresh_not_before: timedelta | None = None
    """The vendor refuses to refresh a token younger than this."""
    keep_alive_within: timedelta | None = None
    """A grant whose tokens are not renewed for this long may expire; the vault renews them in half that time
    even when nothing is due.
    """


@dataclass(frozen=True, kw_only=True)
class AppCredentials:
    """An app registration, as passed to a connector."""

    client_id: str
    client_secret: Secret
    consent_mode: str
    base_urls: Mapping[str, str]
    """Those of the environment, overridden for a sandbox."""


@dataclass(frozen=True, kw_only=True)
class ConsentRequest:
    """The values that the hub generated for one sign-in."""

    redirect_uri: str
    state: str
    nonce: str
    code_verifier: Secret
    """Of PKCE; the connector sends only its S256 challenge."""
    language: str = "en"
    force_sign_in: bool = False


@dataclass(frozen=True)
class Redirect:
    """Send the browser here."""

    url: str


@dataclass(frozen=True)
class CredentialForm:
    """Ask the person for these fields (name to label); for systems without a sign-in page."""

    fields: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Tokens:
    """One set of tokens. All datetimes are aware."""

    access_token: Secret
    refresh_token: Secret | None
    issued_at: datetime
    expires_at: datetime
    refresh_expires_at: datetime | None = None
    """None if the vendor does not state it."""
    scope: str = ""


@dataclass(frozen=True)
class Consent:
    """The outcome of a sign-in."""

    subject: str
    """The immutable id of the person who signed in."""
    account: str
    """A name of the account that the person recognises."""
    tokens: Tokens
    company_id: str | None = None
    """Only when the grant reaches one company (one company per sign-in)."""


BRANCHES_MAX = 1000
"""Branches of one company that are shown."""


@dataclass(frozen=True)
class Company:
    """A company that a grant can reach, as the vendor lists it."""

    external_id: str
    """The vendor's id, which never changes."""
    name: str
    code: str = ""
    routing: Mapping[str, str] = field(default_factory=dict)
    """What the connector needs to address the company; the hub only stores it."""

    def __post_init__(self) -> None:
        _clean_texts(self, "name", "code")


@dataclass(frozen=True)
class CompanyDescription:
    """The identity of a company as the source states it, unchecked."""

    name: str
    number: str | None
    """Free text."""
    vat_number: str | None
    """Free text."""
    country: str | None
    base_currency: str | None
    industry_code: str | None = None
    branches: tuple[tuple[str, str, str | None], ...] = ()
    """Further organisations or branches of the company: (code, name, number)."""

    def __post_init__(self) -> None:
        _clean_texts(self, "name", "number", "vat_number", "country", "base_currency", "industry_code")
        branches = tuple(
            (display_text(code), display_text(name), number and display_text(number))
            for code, name, number in self.branches[:BRANCHES_MAX]
        )
        object.__setattr__(self, "branches", branches)


def _clean_texts(described: Company | CompanyDescription, *names: str) -> None:
    """Make these texts of a frozen object fit for pages, whatever the source and the connector."""
    for name in names:
        if (text := getattr(described, name)) is not None:
            object.__setattr__(described, name, display_text(text))


@dataclass(frozen=True, kw_only=True)
class ResourceSpec:
    """A resource of one company."""

    key: str
    read_modes: tuple[ReadMode, ...]
    delete_mode: DeleteMode
    available: bool = True
    unavailable_reason: str = ""
    """A sentence for the user, if the resource is not available."""


@dataclass(frozen=True)
class HistoryWindow:
    """The history to read: entries and balances of the current fiscal year and some years before it."""

    fiscal_years_back: int
    today: date
    """The day that determines the current fiscal year."""


class Record(msgspec.Struct, frozen=True, gc=False):
    """One record of a resource."""

    external_id: str
    raw: bytes
    """The vendor's payload, byte for byte, without what belongs to the page (totals)."""
    partition: str = ""
    """The part of the resource whose absent records a full read may prove, such as the period of an entry;
    '' without partitions.
    """
    children: tuple["Record", ...] = ()
    """The lines of an entry."""
    comparison_key: bytes = b""
    """Compared to detect changes, if that is less than `raw`: a timestamp that changes for a whole table is
    no change.
    """
    is_complete: bool = False
    """Whether all children are present; False when a page may have split them."""


@dataclass(frozen=True, kw_only=True)
class RejectedRecord:
    """A record that could not be understood."""

    external_id: str
    reason: str
    """A sentence without secrets."""
    raw: bytes = b""


@dataclass(frozen=True, kw_only=True)
class AbsenceProof:
    """Proof that rows which were not read are absent at the source; on the last page of a full read."""

    partitions: frozenset[str] | None = None
    """The partitions whose rows it covers; None: the whole resource."""
    restart_cursor: str | None = None
    """The cursor at which these partitions begin; None: they came in a single response, which is atomic.

    A read of several pages is repeated before records are considered deleted, because rows shift between
    pages while users edit.
    """
    is_consistent: bool = True
    """False: the source itself showed that rows shifted (its totals differ)."""


@dataclass(frozen=True, kw_only=True)
class Page:
    """One page: its records and incremental cursor are committed together."""

    records: Sequence[Record]
    next_cursor: str | None = None
    """Continues this read; None: the read is over."""
    incremental_cursor: str | None = None
    """Where a later incremental read may start; only on the last page."""
    absence_proof: AbsenceProof | None = None
    """Only at the end of a full read, of the whole resource or of partitions."""
    expected_total: int | None = None
    """The number of records that the source states (of lines, for entries)."""
    rejected: Sequence[RejectedRecord] = ()
    tombstones: Sequence[str] = ()
    """The external ids of records that the source reports as deleted."""
    unchanged: bool = False
    """Whether this part equals that of the previous read, so that it has no records."""


NORMALISATION_VERSION_MAX = 2**16 - 1
CALLS_MAX = 1_000_000_000
POLICY_LENGTH_MAX = 100


@dataclass(frozen=True, kw_only=True)
class RateLimitStatus:
    """A limit on calls as a response states it. Raises `ValueError` for impossible values."""

    limit: int
    """The calls of a whole window."""
    remaining: int
    """The calls that are left until the reset."""
    reset_seconds: float
    """The time from now until the reset."""
    policy: str = ""
    """Distinguishes several limits of one vendor."""

    def __post_init__(self) -> None:
        if not (0 <= self.limit <= CALLS_MAX and 0 <= self.remaining <= CALLS_MAX):
            raise ValueError("No rate limit has so many calls.")
        if not math.isfinite(self.reset_seconds) or self.reset_seconds < 0:
            raise ValueError("No rate limit is reset then.")
        if len(self.policy) > POLICY_LENGTH_MAX or not self.policy.isprintable():
            raise ValueError("No rate limit has such a name.")


class Http(Protocol):
    """Outbound HTTP without a token, for token endpoints.

    Raises `Unreachable` for network failures, never for a status.
    """

    async def send(
        self,
        method: str,
        url: str,
        *,
        params: Mapping[str, str] | None = None,
        form: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Response: ...


class Session(Protocol):
    """HTTP for one grant and, except while listing, one company; made by the hub.

    Adds the access token; rate limited and redacted.
    """

    base_urls: Mapping[str, str]
    consent_mode: str
    company: Company | None

    async def send(
        self,
        method: str,
        url: str,
        *,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Response: ...


class Connector(Protocol):
    """One accounting system. Raises only `koppel.connector.errors`."""

    @property
    def descriptor(self) -> Descriptor: ...

    def begin_consent(self, app: AppCredentials, request: ConsentRequest) -> Redirect | CredentialForm: ...

    async def complete_consent(
        self,
        http: Http,
        app: AppCredentials,
        request: ConsentRequest,
        authorisation_response: Mapping[str, str],
    ) -> Consent:
        """Check the authorisation response (error, issuer, nonce) and exchange its code once."""
        ...

    async def refresh(self, http: Http, app: AppCredentials, refresh_token: Secret) -> Tokens:
        """Renew the tokens; only the vault calls this.

        If `refresh_token` of the result is None, the old one stays in use.

        Raises `ConsentLost` when a person must act: `invalid_grant` when the grant has ended, any other code
        when the app registration is refused (`invalid_client`); the grant is then kept until the registration
        is corrected. Raises `Unreachable` and `RateLimited` for temporary failures.
        """
        ...

    async def service_token(self, http: Http, app: AppCredentials, company_id: str) -> Tokens:
        """Return an access token for one company with the app's own credentials.

        Only called for consent modes that are `is_by_company_id`. Raises `SetupMissing` when the company is
        unknown or did not approve the app.
        """
        ...

    async def check_app(self, http: Http, app: AppCredentials, redirect_uri: str) -> None:
        """Check an app registration by real calls.

        Checks id and secret and, for modes with a sign-in, the redirect address and scopes. Grants nothing.
        Raises the contract's errors: `SetupMissing` for what must be corrected at the vendor, and
        `ConsentLost("invalid_client")` for a wrong id or secret.
        """
        ...

    async def revoke(self, http: Http, app: AppCredentials, token: Secret) -> None:
        """Revoke the sign-in that this token came from, at the vendor.

        A token that is no longer valid is no error.
        """
        ...

    def company_of(self, access_token: Secret) -> str | None:
        """Return the immutable id of the token's company, if the token names one."""
        ...

    async def list_companies(self, session: Session) -> Sequence[Company]:
        """Return the companies that the session's grant reaches. The hub ends a list that takes minutes, and
        refuses one of more than 10,000.
        """
        ...

    async def describe_company(self, session: Session) -> CompanyDescription:
        """Return the identity of the session's company, in one cheap call: it is the health probe too."""
        ...

    async def list_resources(self, session: Session) -> Sequence[ResourceSpec]:
        """Return the resources in the order in which they should be read."""
        ...

    async def read_page(
        self, session: Session, resource: str, mode: ReadMode, window: HistoryWindow, cursor: str | None
    ) -> Page:
        """Read one page.

        `cursor` None starts a full read; MODIFIED_SINCE and COMPARED start from an incremental cursor.
        """
        ...

    @property
    def normalisation_versions(self) -> Mapping[str, int]:
        """The version of `normalise` for each resource of `koppel.connector.rows.ROWS`, from 1.

        It rises whenever equal bytes may give another row: stored rows of an older version are then written
        again.
        """
        ...

    def normalise(self, resource: str, raw: bytes, parent: str = "") -> Row:
        """Return the row of a payload. Pure: the same bytes give the same row.

        `entry_lines` are the children of the entry with the key `parent`. Raises `ValueError` with a reason.
        """
        ...


@runtime_checkable
class RateLimitSource(Protocol):
    """Implemented by connectors whose vendor states call limits in its responses.

    For other connectors the hub only learns of a limit when a call is refused (`RateLimited`).
    """

    def rate_limits(self, response: Response) -> Sequence[RateLimitStatus]:
        """Return the limits that a response of any status states; missing or impossible ones are ignored."""
        ...


def rate_limits_of(connector: Connector, response: Response) -> Sequence[RateLimitStatus]:
    return connector.rate_limits(response) if isinstance(connector, RateLimitSource) else ()
