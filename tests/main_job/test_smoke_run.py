"""The unattended main job, when a page changes between reading and answering it."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from rich.console import Console

from koppel.cli.demo.http_browser import Browser
from koppel.cli.demo.smoke_run import identify, identify_and_finish

ROW = 'data-discrepancy><input type="checkbox" name="discrepancy" value="7">'
QUESTION = """<section class="narrow-card"><ul><li>Nordlys AS: other number</li></ul><ul><li>Kept.</li></ul>
<form method="post"><input type="hidden" name="action" value="same">
<input type="hidden" name="confirmed" value="{digest}"></form></section>"""
PAGE = """<form method="post"><p {row}</p><input name="number-7" value="922518440">
<button name="action" value="same"></button><button name="action" value="next"></button></form>"""
ASSIGN = """<form method="post"><select name="division"><option value="3">Noord</option></select>
<button name="action" value="apply"></button><button name="action" value="finish"></button></form>"""


@contextmanager
def _wizard(stale_answers: int, late_questions: int = 0) -> Iterator[tuple[str, list[str]]]:
    """A wizard whose question changes `stale_answers` times before an answer is taken, and whose Finish leads
    back to Identify `late_questions` times; and what was answered.
    """
    answers: list[str] = []
    returns: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            is_asked = len(answers) <= stale_answers
            identify_page = PAGE.format(row=ROW if is_asked else ">")
            self._send(200, identify_page if self.path == "/identify" else ASSIGN)

        def do_POST(self) -> None:
            sent = self.rfile.read(int(self.headers["Content-Length"])).decode()
            if "confirmed=" in sent:
                answers.append(sent.partition("confirmed=")[2])
                if len(answers) > stale_answers:
                    self._redirect("/identify")
                else:
                    self._send(409, QUESTION.format(digest=f"d{len(answers)}"))
            elif "action=finish" in sent:
                returns.append("/identify" if len(returns) < late_questions else "/administrations?import=9")
                self._redirect(returns[-1])
            elif "action=same" in sent:
                self._send(200, QUESTION.format(digest="d0"))
            else:
                self._redirect("/assign")

        def _redirect(self, path: str) -> None:
            self.send_response(303)
            self.send_header("Location", path)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def _send(self, status: int, text: str) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *args: object) -> None:
            """Nothing: the test reads the answers."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/identify", answers
    finally:
        server.shutdown()
        server.server_close()


def test_a_question_that_changed_before_the_answer_is_read_and_answered_anew() -> None:
    """A register answered between the question and the answer: the page asks again, and nothing was
    stored.
    """
    with _wizard(stale_answers=2) as (url, answers):
        browser = Browser()
        page = identify(browser, browser.get(url), Console(quiet=True))
        assert page.url.endswith("/assign")
        assert answers == ["d0", "d1", "d2"]


def test_a_question_that_came_before_finishing_is_answered_too() -> None:
    """A register answered after the step Identify was left: Finish leads back to it."""
    with _wizard(stale_answers=0, late_questions=2) as (url, _answers):
        browser = Browser()
        assert identify_and_finish(browser, browser.get(url), Console(quiet=True)) == 9
