"""What the hub asks of a connector. A connector is stateless protocol code:
vault, cursors, quotas and storage are the hub's.

Every call names the company through its `Session`; there is no "current company".
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Protocol, runtime_checkable

import msgspec

from koppel.connector.rows import Row
from koppel.kit.encryption import Secret
from koppel.kit.http.client import Response


class ReadMode(StrEnum):
    """How a resource can be read; each resource states its modes, best first.

    FULL: everything. MODIFIED_SINCE: what changed since a checkpoint. COMPARED: everything, but an answer
    that is byte for byte that of the checkpoint is `unchanged` and brings no records."""

    FULL = "full"
    MODIFIED_SINCE = "modified_since"
    COMPARED = "compared"


class DeleteMode(StrEnum):
    """How a deletion at the source becomes known."""

    BY_ABSENCE = "by_absence"
    TOMBSTONES = "tombstones"
    NEVER_SEEN = "never_seen"


@dataclass(frozen=True)
class ConsentMode:
    """A way to consent. `collects_many`: one sign-in reaches one
    company, so the wizard may ask for another sign-in.

    `by_company_id`: nobody signs in; companies are named by their id, and the app asks for a token for each
    of them with its own credentials (`Connector.service_token`). Such a grant has a `company_id` and no
    refresh token. `company_id_pattern` finds such ids in a pasted text, `company_id_title` says what they are
    called and `company_id_help` where to find them.

    `scopes` are what the app must be allowed to ask for, where that differs from the descriptor's. `advice`
    is shown where the way is chosen: what is better or worse about it."""

    key: str
    title: str
    explanation: str
    collects_many: bool = False
    by_company_id: bool = False
    company_id_pattern: str = ""
    company_id_title: str = ""
    company_id_help: str = ""
    scopes: tuple[str, ...] = ()
    advice: str = ""


@dataclass(frozen=True)
class Environment:
    """The target of a connector. `base_urls` are named (`identity`, `api` …), without a slash at the end."""

    key: str
    title: str
    base_urls: Mapping[str, str]
    consent_modes: tuple[str, ...]


@dataclass(frozen=True)
class Descriptor:
    """Static facts about the accounting system. `title` is what a person
    sees; texts are translated by the connector.

    `refresh_not_before`: counted from issue, the vendor refuses an earlier refresh.
    `keep_alive_within`: a grant whose tokens are not renewed for this long may die; the vault renews
    them in half that time, also when nothing is due.

    `identity_paths` are the ends of the paths that list and describe companies: a session that
    is not made for an imported administration may call no other. `company_header` is the header
    (in lower case) that names the company of a call, and the key of `Company.routing` that it
    must equal; None where the token alone decides.

    `revoking_spares_later_consents`: `revoke` ends what came of the token's own sign-in, and a later sign-in
    of the same person lives on. Where it ends the person's whole consent, or nobody knows, a sign-in that
    replaces another must not revoke it."""

    key: str
    title: str
    scopes: tuple[str, ...]
    consent_modes: tuple[ConsentMode, ...]
    environments: tuple[Environment, ...]
    setup_requirements: str
    permissions_text: str
    identity_paths: tuple[str, ...]
    company_header: tuple[str, str] | None = None
    revoking_spares_later_consents: bool = False
    refresh_not_before: timedelta | None = None
    keep_alive_within: timedelta | None = None


@dataclass(frozen=True)
class AppCredentials:
    """An app registration as a connector sees it. `base_urls` are the
    environment's, overridden for a sandbox."""

    client_id: str
    client_secret: Secret
    consent_mode: str
    base_urls: Mapping[str, str]


@dataclass(frozen=True)
class ConsentRequest:
    """What the hub made for one sign-in. `code_verifier` is PKCE's;
    the connector sends only its S256 challenge."""

    redirect_uri: str
    state: str
    nonce: str
    code_verifier: Secret
    language: str = "en"
    force_sign_in: bool = False


@dataclass(frozen=True)
class Redirect:
    """Send the browser here."""

    url: str


@dataclass(frozen=True)
class Form:
    """Ask the person for these fields (name to label), for systems without a sign-in page."""

    fields: Mapping[str, str]


@dataclass(frozen=True)
class Tokens:
    """One set of tokens. `expires_at` and `refresh_expires_at` are aware
    datetimes; None = the vendor did not say."""

    access_token: Secret
    refresh_token: Secret | None
    issued_at: datetime
    expires_at: datetime
    refresh_expires_at: datetime | None = None
    scope: str = ""


@dataclass(frozen=True)
class Consent:
    """The outcome of a sign-in. `subject` is the immutable id of who
    signed in, `account` what a person recognises.

    `company_id` is set when the grant reaches one company only (company per sign-in)."""

    subject: str
    account: str
    tokens: Tokens
    company_id: str | None = None


@dataclass(frozen=True)
class Company:
    """A company that a grant can reach, as the vendor lists it. `external_id` never changes; `routing` is the
    connector's."""

    external_id: str
    name: str
    code: str = ""
    routing: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class CompanyDescription:
    """Identity as the source states it, unchecked: `number` and `vat_number` are free text there.

    `branches` are further organisations or branches within the company: (code, name, number)."""

    name: str
    number: str | None
    vat_number: str | None
    country: str | None
    base_currency: str | None
    industry_code: str | None = None
    branches: tuple[tuple[str, str, str | None], ...] = ()


@dataclass(frozen=True)
class ResourceSpec:
    """A resource of one company. `available` False carries `unavailable_reason`, a sentence for a person."""

    key: str
    read_modes: tuple[ReadMode, ...]
    delete_mode: DeleteMode
    available: bool = True
    unavailable_reason: str = ""


@dataclass(frozen=True)
class HistoryWindow:
    """How much history is wanted: entries and balances of the current fiscal year and `fiscal_years_back`
    before it."""

    fiscal_years_back: int
    today: date


class Record(msgspec.Struct, frozen=True, gc=False):
    """`raw` is the vendor's payload, byte for byte, without what belongs to the page (totals). `children` are
    entry lines.

    `partition` names what a complete read may prove absent (the period of an entry); '' where
    there are none. `comparison_key` is what tells two versions apart when that is less than
    `raw`: a stamp that jumps on a whole table changes nothing. `is_complete`: all children are
    here (False when a page may have split them)."""

    external_id: str
    raw: bytes
    partition: str = ""
    children: tuple["Record", ...] = ()
    comparison_key: bytes = b""
    is_complete: bool = False


@dataclass(frozen=True)
class RejectedRecord:
    """A record that could not be understood. `reason` is a sentence without secrets."""

    external_id: str
    reason: str
    raw: bytes = b""


@dataclass(frozen=True)
class Snapshot:
    """A complete read ended with this page. `partitions` None = all of the
    resource; else only rows of these may be absent.

    `restart_cursor` is the cursor at which these partitions begin: a read of several answers
    is repeated before anything is called absent, for rows move between pages while somebody
    works. None = it was one answer, which cannot be torn. `is_consistent` False = the source
    itself showed that rows moved (totals differ)."""

    partitions: frozenset[str] | None = None
    restart_cursor: str | None = None
    is_consistent: bool = True


@dataclass(frozen=True)
class Page:
    """One page: records and checkpoint are committed together.

    `next_cursor` continues this read (None = the read is over). `checkpoint` is where a later
    incremental read may start; only on the last page. `snapshot` only at the end of a complete read,
    of the whole or of partitions. `unchanged`: this part is what the checkpoint says.
    `expected_total` counts records (lines for entries)."""

    records: Sequence[Record]
    next_cursor: str | None = None
    checkpoint: str | None = None
    snapshot: Snapshot | None = None
    expected_total: int | None = None
    rejected: Sequence[RejectedRecord] = ()
    tombstones: Sequence[str] = ()
    unchanged: bool = False


CALLS_MAX = 1_000_000_000
POLICY_LENGTH_MAX = 100


@dataclass(frozen=True)
class RateLimitStatus:
    """What an answer states about one of the vendor's call limits: `remaining` calls of `limit` until
    `reset_seconds` from now. `policy` tells several limits apart.

    Raises `ValueError` for what no limit can have."""

    limit: int
    remaining: int
    reset_seconds: float
    policy: str = ""

    def __post_init__(self) -> None:
        if not (0 <= self.limit <= CALLS_MAX and 0 <= self.remaining <= CALLS_MAX):
            raise ValueError("No rate limit has so many calls.")
        if not math.isfinite(self.reset_seconds) or self.reset_seconds < 0:
            raise ValueError("No rate limit is reset then.")
        if len(self.policy) > POLICY_LENGTH_MAX or not self.policy.isprintable():
            raise ValueError("No rate limit has such a name.")


class Http(Protocol):
    """Outbound HTTP without a token: for token endpoints. Raises `Unreachable`
    for network failures, never for a status."""

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
    """Made by the hub for one grant and, except while listing, one company.
    Adds the access token; limited and redacted."""

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

    def begin_consent(self, app: AppCredentials, request: ConsentRequest) -> Redirect | Form: ...

    async def complete_consent(
        self, http: Http, app: AppCredentials, request: ConsentRequest, inbound: Mapping[str, str]
    ) -> Consent:
        """Check the callback (error, issuer, nonce) and exchange the code once."""
        ...

    async def refresh(self, http: Http, app: AppCredentials, refresh_token: Secret) -> Tokens:
        """Renew the tokens; called by the vault alone. `refresh_token`
        of the answer None: the old one stays in use.

        Raises `ConsentLost` when a person must act: `invalid_grant` when the grant is dead, any other code
        when the app registration is refused (`invalid_client`), in which case the grant is kept for when that
        is put right. `Unreachable` and `RateLimited` when nobody has to act."""
        ...

    async def service_token(self, http: Http, app: AppCredentials, company_id: str) -> Tokens:
        """Return an access token for one company with the app's own credentials; called for modes that are
        `by_company_id` alone.

        Raises `SetupMissing` when the company is unknown or did not approve the app."""
        ...

    async def check_app(self, http: Http, app: AppCredentials, redirect_uri: str) -> None:
        """Prove an app registration by real calls: id and secret, and where
        people sign in its redirect address and scopes.

        Nothing is granted by it. Raises the contract's errors, with `SetupMissing` for what somebody must
        correct at the vendor and `ConsentLost("invalid_client")` for a wrong id or secret."""
        ...

    async def revoke(self, http: Http, app: AppCredentials, token: Secret) -> None:
        """Withdraw what came of the sign-in that brought this token, at the
        vendor; one that is dead already is no error."""
        ...

    def company_of(self, access_token: Secret) -> str | None:
        """Return the immutable id of the one company that this token
        reaches, where the token itself says so."""
        ...

    async def list_companies(self, session: Session) -> Sequence[Company]: ...

    async def describe_company(self, session: Session) -> CompanyDescription:
        """Return the identity of the session's company; one cheap call, so it is the health probe too."""
        ...

    async def list_resources(self, session: Session) -> Sequence[ResourceSpec]:
        """Return the resources in the order in which they should be read."""
        ...

    async def read_page(
        self, session: Session, resource: str, mode: ReadMode, window: HistoryWindow, cursor: str | None
    ) -> Page:
        """Read one page. `cursor` None starts a complete read; MODIFIED_SINCE and COMPARED start from a
        checkpoint."""
        ...

    def normalise(self, resource: str, raw: bytes, parent: str = "") -> Row:
        """Return the row of a payload. Pure: the same bytes give the same row. `entry_lines` are the children
        of the entry with the key `parent`.

        Raises `ValueError` with a reason."""
        ...


@runtime_checkable
class RateLimitSource(Protocol):
    """What a connector also is when the vendor states its call limits in its answers.

    Without it the hub learns of a limit from refusals (`RateLimited`) alone."""

    def rate_limits(self, response: Response) -> Sequence[RateLimitStatus]:
        """Return the limits that an answer of any status states; none where it
        states nothing, or nothing that can be true."""
        ...


def rate_limits_of(connector: Connector, response: Response) -> Sequence[RateLimitStatus]:
    return connector.rate_limits(response) if isinstance(connector, RateLimitSource) else ()
