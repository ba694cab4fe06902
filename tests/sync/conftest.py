"""An imported administration whose syncs run in this process, against the sandbox over HTTP."""

import pytest

from tests.fixtures.stack import MakeConnected
from tests.sync.factories import Synced, import_company


@pytest.fixture
def synced(connected: MakeConnected) -> "Synced":
    """The sandbox's first company, imported; nothing has been read yet."""
    return import_company(connected())
