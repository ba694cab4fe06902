"""The web application, for granian."""

import resource

from django.conf import settings

from koppel.web.server import Application
from koppel.web.wsgi import application as wsgi

from koppel.connections.vault import end_with_last_call  # isort: skip - needs configured settings


def _allow_many_connections() -> None:
    """Slow clients cost a file descriptor each: take as many as the system allows."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


_allow_many_connections()
application = Application(wsgi, threads=settings.WEB_THREADS, started=end_with_last_call)
