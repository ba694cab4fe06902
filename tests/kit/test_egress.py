"""The egress policy checks addresses at the time of the call."""

import asyncio

import pytest

from koppel.kit.http.client import NOT_ALLOWED, HttpClient, NetworkFailure, origin_of
from koppel.kit.http.egress import EgressPolicy


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "１２７.0.0.1", "127。0。0。1", "[::1]", "localhost", "0x7f.1"]
)
def test_no_spelling_of_an_internal_address_passes_the_egress_policy(host: str) -> None:
    url = f"http://{host}:1/"

    async def call() -> None:
        async with HttpClient(egress_policy=EgressPolicy()) as http:
            await http.send("GET", url, allowed_origins={origin_of(url)})

    with pytest.raises(NetworkFailure) as failure:
        asyncio.run(call())
    assert failure.value.code == NOT_ALLOWED
