"""Parse bodies as JSON without duplicate keys: of two values of one key the last would win silently."""

import json
from typing import Any

from django.http import HttpRequest
from ninja.parser import Parser


class DuplicateKeyError(ValueError):
    """A key of an object comes twice, at whatever depth."""

    def __init__(self, key: str) -> None:
        self.key = key
        super().__init__(key)


class StrictParser(Parser):
    def parse_body(self, request: HttpRequest) -> dict[str, Any]:
        """Parse the body as a JSON object. Raises `DuplicateKeyError`, and `ValueError` for what is no
        JSON.
        """
        fields: dict[str, Any] = json.loads(request.body, object_pairs_hook=_object)
        return fields


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for key, value in pairs:
        if key in fields:
            raise DuplicateKeyError(key)
        fields[key] = value
    return fields
