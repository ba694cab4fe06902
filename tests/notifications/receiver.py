"""A webhook receiver that records messages and answers as configured."""

import base64
import hashlib
import hmac
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.fixtures.stack import PATIENCE_SECONDS


@dataclass
class Receiver:
    """`answers` are the next statuses, with headers; 200 when there are none.

    `holds` keeps it from answering.
    """

    url: str = ""
    got: list[dict[str, Any]] = field(default_factory=list)
    answers: list[tuple[int, dict[str, str]]] = field(default_factory=list)
    holds: threading.Event | None = None
    received: threading.Event = field(default_factory=threading.Event)

    def messages(self) -> list[dict[str, Any]]:
        return [json.loads(one["body"]) for one in self.got]


def is_signed_with(secret: str, got: dict[str, Any]) -> bool:
    """As a receiver checks it, by the words of Standard Webhooks alone."""
    headers = got["headers"]
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + got["body"]
    expected = "v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()
    return expected in headers["webhook-signature"].split()


@contextmanager
def run_receiver() -> Iterator[Receiver]:
    receiver = Receiver()

    class Answering(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            headers = {key.lower(): value for key, value in self.headers.items()}
            receiver.got.append({"body": body, "headers": headers})
            receiver.received.set()
            if receiver.holds is not None:
                receiver.holds.wait(PATIENCE_SECONDS)
            status, more = receiver.answers.pop(0) if receiver.answers else (200, {})
            self.send_response(status)
            for key, value in more.items():
                self.send_header(key, value)
            self.end_headers()
            self.wfile.write(b"thank you" if status == 200 else b"no <b>thanks</b>")

        def log_message(self, *arguments: Any) -> None:
            """Silent."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answering)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    receiver.url = f"http://127.0.0.1:{server.server_address[1]}/hook"
    yield receiver
    server.shutdown()
    server.server_close()
