"""The secrets behind authenticator apps and recovery codes, sealed like every other secret here.

allauth keeps them as text within its JSON; it reads and writes them through `sealed` and `opened`."""

import base64
from collections import Counter
from collections.abc import Iterator
from typing import Any

from allauth.mfa.models import Authenticator
from django.db import transaction

from koppel.kit.secrets import SealBroken, key_id_of
from koppel.organisations.encryption import keyring, seal, unseal

PLACE = "mfa_authenticator"


def sealed(text: str) -> str:
    return base64.b64encode(seal(text.encode(), PLACE)).decode()


def opened(text: str) -> str:
    """Raises `SealBroken`."""
    return unseal(base64.b64decode(text), PLACE).decode()


def envelopes() -> Iterator[tuple[bytes, str]]:
    """Every one of them, with the place it is sealed for."""
    for data in Authenticator.objects.exclude(type=Authenticator.Type.WEBAUTHN).values_list("data", flat=True):
        for text in _texts(data):
            yield base64.b64decode(text), PLACE


def reseal_all() -> tuple[int, Counter[str]]:
    """Seal all with the current key. How many were; and by key, how many could not be opened and stay."""
    count, broken = 0, Counter[str]()
    for pk in Authenticator.objects.exclude(type=Authenticator.Type.WEBAUTHN).values_list("pk", flat=True):
        with transaction.atomic():
            one = Authenticator.objects.select_for_update().filter(pk=pk).first()
            if one is not None:
                count += _reseal(one, broken)
    return count, broken


def _reseal(one: Authenticator, broken: Counter[str]) -> int:
    fresh = {}
    for text in _texts(one.data):
        key = key_id_of(base64.b64decode(text))
        if key == keyring().current:
            continue
        try:
            fresh[text] = sealed(opened(text))
        except SealBroken:
            broken[key] += 1
    if fresh:
        one.data = _replaced(one.data, fresh)
        one.save(update_fields=["data"])
    return len(fresh)


def _texts(data: dict[str, Any]) -> list[str]:
    named = [data[name] for name in ("secret", "seed") if name in data]
    return named + list(data.get("migrated_codes", []))


def _replaced(value: Any, fresh: dict[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: _replaced(inner, fresh) for key, inner in value.items()}
    if isinstance(value, list):
        return [_replaced(inner, fresh) for inner in value]
    return fresh.get(value, value) if isinstance(value, str) else value
