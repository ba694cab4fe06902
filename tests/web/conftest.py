"""Pages in two languages need their translations compiled."""

import pytest
from django.utils.translation import trans_real

from koppel.web.translations import compile_all


@pytest.fixture(scope="session", autouse=True)
def compiled_translations() -> None:
    if compile_all():
        trans_real._translations.clear()  # type: ignore[attr-defined]
