"""The URL of the embedded server's superuser, for the commands that create roles."""

import os
from pathlib import Path

from koppel.kit.database.embedded_postgres.server import running_addresses


def administrator_url() -> str:
    """Return the URL of a role that may create roles; '' when the database is not embedded."""
    home = os.environ.get("KOPPEL_DATA_DIR", "")
    running = running_addresses(Path(home) / "postgres") if home else None
    return running.superuser_url if running and running.app_url == os.environ.get("DATABASE_URL") else ""
