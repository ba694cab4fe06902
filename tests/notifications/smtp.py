"""A mail server that records messages, and can refuse, wait and disconnect."""

import socketserver
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import Message
from typing import Any

from tests.fixtures.stack import PATIENCE_SECONDS


@dataclass
class MailServer:
    """`accepted` are texts that were received whole.

    `answers` replaces the next answer to a command (MAIL, RCPT, DATA, END) with a line; None hangs up.
    `holds` makes the answer to END wait until it is set.
    """

    port: int = 0
    accepted: list[Message] = field(default_factory=list)
    answers: dict[str, list[str | None]] = field(default_factory=dict)
    holds: threading.Event | None = None
    received: threading.Event = field(default_factory=threading.Event)

    def next(self, command: str, usual: str) -> str | None:
        waiting = self.answers.get(command)
        return waiting.pop(0) if waiting else usual


class _Conversation(socketserver.StreamRequestHandler):
    mail: MailServer

    def handle(self) -> None:
        self.say("220 made-up mail server")
        while line := self.rfile.readline():
            command = line.decode(errors="replace").strip().upper().split(" ")[0]
            if command in ("EHLO", "HELO", "RSET", "NOOP"):
                self.say("250 ok")
            elif command in ("MAIL", "RCPT"):
                if not self.say(self.mail.next(command, "250 ok")):
                    return
            elif command == "DATA":
                if not self.take():
                    return
            else:
                self.say("221 bye")
                return

    def take(self) -> bool:
        answer = self.mail.next("DATA", "354 go ahead")
        if not self.say(answer) or not str(answer).startswith("354"):
            return answer is not None
        lines = []
        while (line := self.rfile.readline()) != b".\r\n":
            if not line:
                return False
            lines.append(line[1:] if line.startswith(b"..") else line)
        answer = self.mail.next("END", "250 accepted")
        if answer is None or answer.startswith("250"):
            self.mail.accepted.append(message_from_bytes(b"".join(lines)))
        self.mail.received.set()
        if self.mail.holds is not None:
            self.mail.holds.wait(PATIENCE_SECONDS)
        return self.say(answer)

    def say(self, line: str | None) -> bool:
        if line is None:
            return False
        try:
            self.wfile.write(f"{line}\r\n".encode())
        except OSError:
            return False
        return True


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


def serve(mail: MailServer) -> Callable[[], None]:
    """Start on a free port; the answer stops it."""
    handler: Any = type("Conversation", (_Conversation,), {"mail": mail})
    server = _Server(("127.0.0.1", mail.port), handler)
    mail.port = server.server_address[1]
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def stop() -> None:
        if mail.holds is not None:
            mail.holds.set()
        server.shutdown()
        server.server_close()

    return stop
