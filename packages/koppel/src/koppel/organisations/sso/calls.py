"""Calls to an identity provider, within limits on time, size and threads. Its published metadata is kept for
minutes.

Anyone may begin a sign-in and send an answer back, so a provider that never answers, or a person who begins
again and again, must leave threads for everyone else. Beginning costs no call while the metadata is kept, and
cannot take the slots of people who come back.
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import TypeVar

from django.conf import settings

from koppel.kit.http import client as http_client
from koppel.kit.http.client import HttpClient
from koppel.kit.http.concurrency import ConcurrencyLimit, NoSlot
from koppel.kit.http.egress import EgressPolicy
from koppel.kit.web.client_ip import network_of
from koppel.kit.web.token_buckets import TokenBuckets
from koppel.organisations.models import IdentityProvider
from koppel.organisations.sso import oidc
from koppel.organisations.sso.oidc import (
    AuthorisationResponse,
    Client,
    Endpoints,
    LoginAttempt,
    ProviderMetadata,
    ProviderRefused,
    TokenIdentity,
)

T = TypeVar("T")

CALL_SECONDS_MAX = 8.0
"""For all calls of one step of a sign-in together."""
BEGINS_EACH_MAX, BEGINS_MAX = 2, 3
"""So many threads of a process may fetch metadata of one provider, and of all, for sign-ins that begin;
`koppel web` has 8.
"""
ANSWERS_EACH_MAX, ANSWERS_MAX, ANSWER_WAIT_SECONDS = 3, 4, 3.0
"""So many may redeem the answers of one provider, and of all; the others wait so long for their turn."""
METADATA_SECONDS, METADATA_SECONDS_MAX = 5 * 60, 60 * 60
"""How long metadata counts, and how long it serves when all slots are in use."""
METADATA_MAX = 100
"""Providers whose metadata a process keeps."""
BEGINS_PER_MINUTE, BEGINS_BURST = 20, 40
"""Sign-ins at one provider that one network may begin; an office may have one address."""

_begins = ConcurrencyLimit(BEGINS_EACH_MAX, total=BEGINS_MAX)
_answers = ConcurrencyLimit(ANSWERS_EACH_MAX, total=ANSWERS_MAX)
_begun = TokenBuckets(per_minute=BEGINS_PER_MINUTE, burst=BEGINS_BURST)


class MetadataCache:
    """Metadata by provider and revision: a change of the provider is seen by all processes at once."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._entries: OrderedDict[tuple[int, int, str], tuple[ProviderMetadata, float]] = OrderedDict()
        self._monotonic = monotonic
        self._lock = threading.Lock()

    def find(
        self, provider: IdentityProvider, *, seconds_max: float = METADATA_SECONDS
    ) -> ProviderMetadata | None:
        with self._lock:
            entry = self._entries.get(self._key(provider))
        if entry is None or self._monotonic() - entry[1] > seconds_max:
            return None
        return entry[0]

    def keep(self, provider: IdentityProvider, metadata: ProviderMetadata) -> None:
        """Keep metadata that was just fetched; the oldest gives way."""
        with self._lock:
            self._entries[self._key(provider)] = (metadata, self._monotonic())
            self._entries.move_to_end(self._key(provider))
            while len(self._entries) > METADATA_MAX:
                self._entries.popitem(last=False)

    def clear(self) -> None:
        with self._lock:
            self._entries.clear()

    @staticmethod
    def _key(provider: IdentityProvider) -> tuple[int, int, str]:
        return provider.pk, provider.revision, provider.issuer


metadata_cache = MetadataCache()


def count_begin(provider: IdentityProvider, ip_address: str) -> None:
    """Count a sign-in that begins. Raises `TooManyRequests`."""
    _begun.spend((provider.pk, network_of(ip_address)))


def fetch_endpoints(provider: IdentityProvider) -> Endpoints:
    """Return the provider's endpoints, for a sign-in that begins. Raises `ProviderRefused`."""
    cached = metadata_cache.find(provider)
    if cached is not None:
        return cached.endpoints
    try:
        metadata = _run(
            lambda http: oidc.fetch_metadata(http, provider.issuer), _begins, provider.pk, wait_seconds=0.0
        )
    except ProviderRefused as refusal:
        expired = metadata_cache.find(provider, seconds_max=METADATA_SECONDS_MAX)
        if refusal.code != "busy" or expired is None:
            raise
        return expired.endpoints
    metadata_cache.keep(provider, metadata)
    return metadata.endpoints


def exchange_code(
    provider: IdentityProvider, client: Client, attempt: LoginAttempt, response: AuthorisationResponse
) -> TokenIdentity:
    """Redeem the code of an answer. Raises `ProviderRefused`; with the code `busy` nothing was sent."""

    async def redeem(http: HttpClient) -> TokenIdentity:
        metadata = metadata_cache.find(provider)
        if metadata is None:
            metadata = await oidc.fetch_metadata(http, client.issuer)
            metadata_cache.keep(provider, metadata)
        return await oidc.exchange_code(http, client, attempt, response, metadata)

    return _run(redeem, _answers, provider.pk, wait_seconds=ANSWER_WAIT_SECONDS)


def verify_client(provider: IdentityProvider, client: Client) -> None:
    """Test the provider as it is now, whatever was kept of it. Raises `ProviderRefused`."""
    _run(
        lambda http: oidc.verify_client(http, client), _answers, provider.pk, wait_seconds=ANSWER_WAIT_SECONDS
    )


def _run(
    work: Callable[[HttpClient], Awaitable[T]],
    slots: ConcurrencyLimit,
    provider_id: int,
    *,
    wait_seconds: float,
) -> T:
    """Call the provider at an allowed address. Raises `ProviderRefused`."""
    try:
        with slots.slot(provider_id, wait_seconds=wait_seconds):
            return http_client.run(
                work,
                body_bytes_max=oidc.DOCUMENT_BYTES_MAX,
                seconds_max=CALL_SECONDS_MAX,
                egress_policy=EgressPolicy(settings.SSO_NETWORKS),
            )
    except NoSlot:
        raise ProviderRefused("busy") from None
    except TimeoutError:
        raise ProviderRefused("unreachable") from None
