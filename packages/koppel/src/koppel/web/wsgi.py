"""Django as a WSGI application; `asgi` serves it."""

import os

import structlog
from django.core.wsgi import get_wsgi_application

from koppel.kit import logging
from koppel.web.build.built import stale_build_warnings
from koppel.web.build.static_files import outdated_groups

logging.configure()
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "koppel.settings")
application = get_wsgi_application()

for shortcoming in stale_build_warnings(outdated_groups()):
    structlog.get_logger(__name__).warning("not_built", text=shortcoming)
