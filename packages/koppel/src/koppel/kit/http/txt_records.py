"""TXT records, looked up within a few seconds through the name servers of `KOPPEL_DNS_SERVERS`, else those of
the system. dnspython speaks the protocol; see decision 38.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import dns.exception
import dns.name
import dns.nameserver
import dns.resolver
from django.conf import settings

from koppel.kit import quarantine
from koppel.kit.http.client import refuse_in_transaction
from koppel.kit.http.name_servers import NameServer

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


def _resolver(servers: Sequence[NameServer]) -> dns.resolver.Resolver:
    resolver = dns.resolver.Resolver(configure=not servers)
    if servers:
        resolver.nameservers = [dns.nameserver.Do53Nameserver(one.address, one.port) for one in servers]
    resolver.timeout = SERVER_SECONDS
    return resolver
