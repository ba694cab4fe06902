"""The web application, for granian."""

import resource
import sys

from django.conf import settings
from django.db.backends.signals import connection_created

from koppel.kit.web.precedence import give_way_before_statements
from koppel.web.server import Application
from koppel.web.wsgi import application as wsgi

from koppel.connections.sessions import close_blocking_calls  # isort: skip - needs models
from koppel.connections.vault import end_with_last_call  # isort: skip - needs configured settings
from koppel.kit.jobs import load_tasks  # isort: skip - needs models
from koppel.web.server.monitoring import run_monitor  # isort: skip - needs models

FILES_MAX = 16_384
"""Open files; a slow client costs one."""
THREAD_SWITCH_SECONDS = 0.001
"""How long a page waits for the interpreter after each query while another thread computes, as for an export.
Python's own 5 ms would add up to more than the page."""


def _allow_many_connections() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = FILES_MAX if hard == resource.RLIM_INFINITY else min(FILES_MAX, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, limit), hard))


_allow_many_connections()
load_tasks()
connection_created.connect(give_way_before_statements)
sys.setswitchinterval(THREAD_SWITCH_SECONDS)
application = Application(
    wsgi,
    threads=settings.WEB_THREADS,
    started=end_with_last_call,
    background=run_monitor,
    stopped=close_blocking_calls,
)
