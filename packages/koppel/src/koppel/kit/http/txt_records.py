"""TXT records, looked up within a few seconds through the name servers of `KOPPEL_DNS_SERVERS`, else those of
the system. dnspython speaks the protocol; see decision 38.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import dns.exception
import dns.message
import dns.name
import dns.nameserver
import dns.rcode
import dns.resolver
from django.conf import settings

from koppel.kit import quarantine
from koppel.kit.http.client import refuse_in_transaction
from koppel.kit.http.name_servers import PORT, NameServer

SECONDS_MAX = 5.0
"""For one look-up, over all name servers."""
SERVER_SECONDS = 2.0


@dataclass(frozen=True)
class TxtAnswer:
    """The texts at a name. `is_known` False: no name server gave a valid answer (time-out, SERVFAIL,
    REFUSED), which says nothing about the texts.
    """

    texts: frozenset[str] = frozenset()
    is_known: bool = True


def look_up_txt(name: str) -> TxtAnswer:
    """Return the texts at exactly this name; none behind an alias (CNAME), which a wildcard makes for names
    that nobody has chosen.

    Raises `Quarantined`, and `RuntimeError` inside a database transaction.
    """
    refuse_in_transaction()
    quarantine.refuse()
    absolute_name = dns.name.from_text(name).canonicalize()
    try:
        answer = _resolver(settings.DNS_SERVERS).resolve(
            absolute_name, "TXT", search=False, raise_on_no_answer=False, lifetime=SECONDS_MAX
        )
    except dns.resolver.NXDOMAIN:
        return TxtAnswer()
    except (dns.exception.DNSException, OSError):
        return TxtAnswer(is_known=False)
    if answer.rrset is None or answer.canonical_name.canonicalize() != absolute_name:
        return TxtAnswer()
    return TxtAnswer(
        frozenset(b"".join(record.strings).decode("ascii", "replace") for record in answer.rrset)
    )


@dataclass(frozen=True)
class NameServerState:
    """A name server that look-ups use; `problem` is '' when it gives valid answers."""

    address: str
    problem: str = ""


def ask_name_servers() -> list[NameServerState]:
    """Ask each name server for those of the root, in the order of use. Raises `Quarantined`."""
    quarantine.refuse()
    try:
        resolver = _resolver(settings.DNS_SERVERS)
    except dns.resolver.NoResolverConfiguration:
        return []
    servers = [
        server if isinstance(server, dns.nameserver.Nameserver) else dns.nameserver.Do53Nameserver(server)
        for server in resolver.nameservers
    ]
    return [NameServerState(_address(server), _problem_of(server)) for server in servers]


def _address(server: dns.nameserver.Nameserver) -> str:
    """Return the address as `KOPPEL_DNS_SERVERS` writes it."""
    if not isinstance(server, dns.nameserver.Do53Nameserver) or server.port == PORT:
        return str(server.answer_nameserver())
    return f"[{server.address}]:{server.port}" if ":" in server.address else f"{server.address}:{server.port}"


def _problem_of(server: dns.nameserver.Nameserver) -> str:
    question = dns.message.make_query(dns.name.root, "NS")
    try:
        response = server.query(question, SERVER_SECONDS, None, 0, max_size=False)
    except dns.exception.Timeout:
        return f"no answer in {SERVER_SECONDS:.0f} s"
    except (dns.exception.DNSException, OSError) as error:
        return str(error) or type(error).__name__
    if response.rcode() in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN):
        return ""
    return f"answers {dns.rcode.to_text(response.rcode())}"


def _resolver(servers: Sequence[NameServer]) -> dns.resolver.Resolver:
    resolver = dns.resolver.Resolver(configure=not servers)
    if servers:
        resolver.nameservers = [dns.nameserver.Do53Nameserver(one.address, one.port) for one in servers]
    resolver.timeout = SERVER_SECONDS
    return resolver
