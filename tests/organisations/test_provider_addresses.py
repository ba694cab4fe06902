"""What a tenant enters as its identity provider is called within limits: of addresses, time and threads."""

import socket
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from ipaddress import ip_network
from typing import Any

import pytest
from django.db import connections
from django.test import Client

from koppel.kit.tenancy import organisation_scope
from koppel.organisations.models import IdentityProvider
from koppel.organisations.sso.calls import BEGINS_EACH_MAX, CALL_SECONDS_MAX
from tests.organisations.provider_processes import begin, configure, provider_id, running_idp


@pytest.mark.parametrize("networks", [(), (ip_network("10.0.0.0/8"),)])
def test_a_provider_within_reaches_nothing(actor: Any, settings: Any, networks: Any) -> None:
    """Neither its issuer, nor what a public issuer's own metadata names, is called inside our networks."""
    admin = actor("administrator")
    with running_idp() as within:
        within.says()
        settings.SSO_NETWORKS = networks
        page = configure(admin, within)
        assert "is not public" in page
        assert "The identity provider works" not in page
        settings.SSO_NETWORKS = (ip_network("127.0.0.0/8"),)
        assert "The identity provider works" in configure(admin, within)


def test_a_provider_that_never_answers_leaves_threads_for_others(actor: Any) -> None:
    """Anyone may begin a sign-in, any number of times; an honest organisation's provider still works."""
    admin, stranger = actor("administrator"), actor("administrator")
    with running_idp() as honest, socket.create_server(("127.0.0.1", 0), backlog=50) as silent:
        for person, issuer in (
            (admin, honest.issuer),
            (stranger, f"http://127.0.0.1:{silent.getsockname()[1]}"),
        ):
            honest.says()
            configure(person, honest)
            with organisation_scope(person.organisation_id):
                IdentityProvider.objects.update(issuer=issuer)
        address = f"/sign-in/{provider_id(stranger)}/"
        with ThreadPoolExecutor(12) as threads:
            began = time.monotonic()
            waiting = [threads.submit(_begin_in_thread, address) for _number in range(12)]
            refused_at_once = next(as_completed(waiting))
            assert begin(admin, Client()).startswith(honest.issuer)
            pages = [answer.result() for answer in waiting]
        assert time.monotonic() - began < 2 * CALL_SECONDS_MAX
    assert "answers slowly" in refused_at_once.result()
    assert sum("answers slowly" in page for page in pages) == 12 - BEGINS_EACH_MAX
    assert sum("cannot be reached" in page for page in pages) == BEGINS_EACH_MAX


def _begin_in_thread(address: str) -> str:
    try:
        return Client().post(address).content.decode()
    finally:
        connections.close_all()
