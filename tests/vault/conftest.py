"""Sentences are checked in both languages, so their translations are compiled."""

from tests.web.conftest import compiled_translations

__all__ = ["compiled_translations"]
