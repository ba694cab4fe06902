"""The egress policy checks addresses at the time of the call."""

import asyncio
from ipaddress import ip_network

import pytest

from koppel.kit.http.client import NOT_ALLOWED, HttpClient, NetworkFailure, origin_of
from koppel.kit.http.egress import AddressRefused, EgressPolicy


@pytest.mark.parametrize(
    "host",
    [
        *("127.0.0.1", "１２７.0.0.1", "127。0。0。1", "127.0.0.1.", "[::1]", "localhost", "0x7f.1", "127.1"),
        *("127.0.1", "2130706433", "0177.0.0.1", "0x7f000001", "017700000001", "0x7f.0.0.1", "127.0x1", "0"),
        *("[::127.0.0.1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[64:ff9b::7f00:1]", "[2002:7f00:1::]"),
        *("[64:ff9b:1::7f00:1]", "[fec0::1]", "[fe80::1]", "[fc00::1]", "[2001:0:7f00:1::]", "[::]"),
        *("[::ffff:0:127.0.0.1]", "[::ffff:0:0:1]", "[4000::1]", "[100::1]"),
        *("[2a00:1450::5efe:127.0.0.1]", "[ff02::1]", "169.254.169.254", "100.64.0.1", "192.0.0.8"),
    ],
)
def test_no_spelling_of_an_internal_address_passes_the_egress_policy(host: str) -> None:
    url = f"http://{host}:1/"

    async def call() -> None:
        async with HttpClient(egress_policy=EgressPolicy()) as http:
            await http.send("GET", url, allowed_origins={origin_of(url)})

    with pytest.raises(NetworkFailure) as failure:
        asyncio.run(call())
    assert failure.value.code == NOT_ALLOWED


def test_a_refused_spelling_is_never_connected_to() -> None:
    policy = EgressPolicy()
    for host in ("127.1", "2130706433", "0177.0.0.1", "0x7f.1", "10.0.0.1"):
        with pytest.raises(AddressRefused):
            policy.require_allowed(host)
    for host in ("example.test", "7.example.test", "0x7f.example", "8.8.8.8", "[2a00:1450:4001::1]"):
        policy.require_allowed(host)


def test_a_named_network_holds_for_every_form_of_its_addresses() -> None:
    policy = EgressPolicy((ip_network("10.1.0.0/16"),))
    assert policy.allows("10.1.2.3")
    assert policy.allows("::ffff:10.1.2.3")
    assert not policy.allows("10.2.0.1")
    assert not policy.allows("::ffff:10.2.0.1")
