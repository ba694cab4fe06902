"""Mail is read in two languages, so the translations are compiled first."""

from tests.web.conftest import compiled_translations

__all__ = ["compiled_translations"]
