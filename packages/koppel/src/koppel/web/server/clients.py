"""Who sends a request, before Django has looked: as far as needed to share the threads fairly."""

import hashlib
from collections import OrderedDict
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from ipaddress import IPv6Address, ip_address

from django.conf import settings

from koppel.kit.web import paths

CREDENTIALS_MAX = 20_000
IPV6_NETWORK_BITS = 64
"""A household or an office has a network of this size."""


@dataclass(frozen=True)
class RequestClient:
    """`key` names an organisation, or an address when `is_known` is False."""

    key: str
    is_known: bool


class Clients:
    """Learns from Django to which organisation a session or token belongs.

    Nothing is decided by it but the order in which requests are processed.
    """

    def __init__(self) -> None:
        self._organisation_ids: OrderedDict[bytes, int] = OrderedDict()

    def client(self, credential: bytes, address: str) -> RequestClient:
        organisation_id = self._organisation_ids.get(credential)
        if organisation_id is None:
            return RequestClient(_network(address), is_known=False)
        self._organisation_ids.move_to_end(credential)
        return RequestClient(f"organisation {organisation_id}", is_known=True)

    def learn(self, credential: bytes, organisation_id: int | None) -> None:
        if not credential:
            return
        if organisation_id is None:
            self._organisation_ids.pop(credential, None)
            return
        self._organisation_ids[credential] = organisation_id
        if len(self._organisation_ids) > CREDENTIALS_MAX:
            self._organisation_ids.popitem(last=False)


def credential_digest(path: str, authorization: str, cookies: str) -> bytes:
    """Return a digest of what Django will look at, b"" without it: the bearer token of a request to the API,
    else the session's cookie. Another header moves nobody out of an organisation's share.
    """
    is_bearer = path.startswith(paths.API) and authorization.partition(" ")[0].lower() == "bearer"
    text = authorization if is_bearer else _session_key(cookies)
    return hashlib.sha256(text.encode(errors="replace")).digest() if text else b""


def _session_key(cookies: str) -> str:
    if settings.SESSION_COOKIE_NAME not in cookies:
        return ""
    try:
        morsel = SimpleCookie(cookies).get(settings.SESSION_COOKIE_NAME)
    except CookieError:
        return ""
    return morsel.value if morsel else ""


def _network(address: str) -> str:
    try:
        parsed = ip_address(address)
    except ValueError:
        return "unknown address"
    if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped is None:
        host_bits = parsed.max_prefixlen - IPV6_NETWORK_BITS
        return str(IPv6Address(int(parsed) >> host_bits << host_bits))
    return str(parsed)
