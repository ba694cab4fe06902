"""A small authoritative name server on loopback, over UDP, whose answers a test sets."""

import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import dns.flags
import dns.message
import dns.rcode
import dns.rrset

from koppel.kit.http.name_servers import NameServer

MUTE = "mute"
"""A fault: it never answers. Others are names of response codes (`SERVFAIL`)."""


class DnsServer:
    """`records` has the texts of each name; `aliases` the name that a name stands for."""

    def __init__(self) -> None:
        self.records: dict[str, list[str]] = {}
        self.aliases: dict[str, str] = {}
        self.fault = ""
        self.questions: list[str] = []
        self.address = NameServer("127.0.0.1")

    def publish(self, name: str, *texts: str) -> None:
        self.records[name] = list(texts)

    def answer(self, wire: bytes) -> bytes | None:
        query = dns.message.from_wire(wire)
        question = query.question[0]
        name = question.name.to_text(omit_final_dot=True).lower()
        self.questions.append(name)
        if self.fault == MUTE:
            return None
        response = dns.message.make_response(query)
        response.flags |= dns.flags.RA
        if self.fault:
            response.set_rcode(dns.rcode.from_text(self.fault))
            return response.to_wire()
        target = self.aliases.get(name, name)
        if target != name:
            response.answer.append(dns.rrset.from_text(question.name, 60, "IN", "CNAME", f"{target}."))
        if texts := self.records.get(target):
            quoted = [f'"{text[:9]}" "{text[9:]}"' for text in texts]
            response.answer.append(dns.rrset.from_text(f"{target}.", 60, "IN", "TXT", *quoted))
        elif target == name:
            response.set_rcode(dns.rcode.NXDOMAIN)
        return response.to_wire()


@contextmanager
def running_dns() -> Iterator[DnsServer]:
    """Yield a server that has no records yet."""
    dns_server = DnsServer()

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            data, reply = self.request
            if (wire := dns_server.answer(data)) is not None:
                reply.sendto(wire, self.client_address)

    with socketserver.ThreadingUDPServer(("127.0.0.1", 0), Handler) as server:
        dns_server.address = NameServer("127.0.0.1", port_of(server))
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        yield dns_server
        server.shutdown()
        thread.join()


def port_of(server: Any) -> int:
    return int(server.server_address[1])
