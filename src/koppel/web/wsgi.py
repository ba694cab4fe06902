"""The web application, for granian."""

import os

from django.core.wsgi import get_wsgi_application

from koppel.kit import logging

logging.configure()
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "koppel.settings")
application = get_wsgi_application()

from koppel.connections.token_calls import end_with_last_call  # noqa: E402 - needs configured settings

end_with_last_call()
