"""Parse bodies as JSON, and refuse duplicate keys: the last of two values would silently win."""

import json
import re
from typing import Any

from django.http import HttpRequest
from ninja.parser import Parser

from koppel.kit.database.text import has_lone_surrogate

_ESCAPED_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


class DuplicateKeyError(ValueError):
    """An object has the same key twice, at any depth."""

    def __init__(self, key: str) -> None:
        self.key = key
        super().__init__(key)


class SurrogateError(ValueError):
    """A text has a lone UTF-16 surrogate, which is no character and cannot be stored."""


class StrictParser(Parser):
    def parse_body(self, request: HttpRequest) -> dict[str, Any]:
        """Parse the body as a JSON object. Raises `DuplicateKeyError`, `SurrogateError`, and `ValueError` for
        what is no JSON.
        """
        # Python would let surrogates pass that are encoded like characters.
        text = request.body.decode("utf-8-sig")
        try:
            fields: dict[str, Any] = json.loads(text, object_pairs_hook=_parse_object)
        except RecursionError:
            raise ValueError("Its objects and lists are nested too deeply.") from None
        if _ESCAPED_SURROGATE.search(text) and has_lone_surrogate(json.dumps(fields, ensure_ascii=False)):
            raise SurrogateError
        return fields


def _parse_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for key, value in pairs:
        if key in fields:
            raise DuplicateKeyError(key)
        fields[key] = value
    return fields
