"""Calls to identity providers: how many nobody can cause, and what a test of a provider is about."""

import threading
import time
from contextlib import ExitStack
from typing import Any

import pytest
from django.test import Client

from koppel.kit.tenancy import organisation_scope
from koppel.kit.web.token_buckets import TokenBuckets
from koppel.organisations.models import IdentityProvider
from koppel.organisations.roles import Actor
from koppel.organisations.sso import calls
from tests.fixtures.people import signed_in
from tests.organisations.identity_provider import CLIENT_ID
from tests.organisations.provider_processes import (
    SECURITY,
    Idp,
    begin,
    configure,
    get_redirect,
    link,
    open_address,
    provider_id,
    sign_in_through_provider,
)

DISCOVERY = "/.well-known/openid-configuration"


@pytest.fixture
def admin(actor: Any, idp: Idp) -> Actor:
    """Signs in with the provider as *ada*."""
    person: Actor = actor("administrator", name="Ada")
    configure(person, idp)
    idp.says(sub="ada")
    link(person, person)
    return person


def test_sign_ins_ask_for_the_metadata_once_until_the_provider_changes(admin: Actor, idp: Idp) -> None:
    idp.says(sub="ada")
    before = idp.count_calls(DISCOVERY), idp.count_calls("/keys")
    assert [sign_in_through_provider(admin).status_code for _time in range(3)] == [302] * 3
    assert (idp.count_calls(DISCOVERY), idp.count_calls("/keys")) == (before[0] + 1, before[1] + 1)
    configure(admin, idp)
    tested = idp.count_calls(DISCOVERY)
    sign_in_through_provider(admin)
    assert idp.count_calls(DISCOVERY) == tested + 1, "what it published before the change no longer counts"


def test_keys_that_the_provider_replaced_are_fetched_again(admin: Actor, idp: Idp) -> None:
    assert sign_in_through_provider(admin).status_code == 302
    idp.control(fault="rotated", at_once=False)
    assert sign_in_through_provider(admin).status_code == 302
    idp.control(fault="unsigned", at_once=False)
    assert sign_in_through_provider(admin).status_code == 403


def test_metadata_is_kept_for_minutes_and_for_few_providers() -> None:
    now = [0.0]
    cache = calls.MetadataCache(lambda: now[0])
    metadata: Any = object()
    for pk in range(calls.METADATA_MAX + 1):
        cache.keep(IdentityProvider(pk=pk), metadata)
    assert cache.find(IdentityProvider(pk=0)) is None
    assert cache.find(IdentityProvider(pk=1)) is metadata
    assert cache.find(IdentityProvider(pk=1, revision=1)) is None
    now[0] += calls.METADATA_SECONDS + 1
    assert cache.find(IdentityProvider(pk=1)) is None
    assert cache.find(IdentityProvider(pk=1), seconds_max=calls.METADATA_SECONDS_MAX) is metadata


def test_who_begins_again_and_again_keeps_nobody_from_coming_back(admin: Actor, idp: Idp) -> None:
    client = Client()
    answer = get_redirect(begin(admin, client))
    calls.metadata_cache.clear()
    with ExitStack() as begun:
        for _slot in range(calls.BEGINS_EACH_MAX):
            begun.enter_context(calls._begins.slot(provider_id(admin)))
        refused = Client().post(f"/sign-in/{provider_id(admin)}/")
        assert "answers slowly" in refused.content.decode()
        assert open_address(client, answer).status_code == 302
        assert sign_in_through_provider(admin).status_code == 302, (
            "its metadata is kept now, so that beginning takes no slot"
        )


def test_an_answer_waits_for_its_turn_and_serves_again_when_it_had_none(
    admin: Actor, idp: Idp, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = Client()
    answer = get_redirect(begin(admin, client))
    with ExitStack() as others:
        for _slot in range(calls.ANSWERS_EACH_MAX):
            others.enter_context(calls._answers.slot(provider_id(admin)))
        with monkeypatch.context() as hurry:
            hurry.setattr(calls, "ANSWER_WAIT_SECONDS", 0.05)
            assert "answers slowly" in open_address(client, answer).content.decode()
        threading.Timer(0.2, others.pop_all().close).start()
        began_at = time.monotonic()
        assert open_address(client, answer).status_code == 302, "loading the page again redeems the same code"
        assert time.monotonic() - began_at > 0.1


def test_one_network_begins_so_many_sign_ins_a_minute(
    admin: Actor, idp: Idp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calls, "_begun", TokenBuckets(per_minute=1, burst=2, monotonic=lambda: 0.0))
    address = f"/sign-in/{provider_id(admin)}/"
    answers = [Client().post(address, REMOTE_ADDR=f"2001:db8::{host}").status_code for host in range(3)]
    assert answers == [302, 302, 429]
    assert Client().post(address, REMOTE_ADDR="2001:db8:0:1::1").status_code == 302


@pytest.mark.parametrize("is_active", [True, False])
@pytest.mark.parametrize("meanwhile", ["changed", "switched off"])
def test_a_test_switches_on_only_what_it_tested(
    admin: Actor, idp: Idp, monkeypatch: pytest.MonkeyPatch, is_active: bool, meanwhile: str
) -> None:
    """Another tab changes the provider, or switches it off, during the test."""
    verify_client = calls.verify_client

    def verify_meanwhile(*words: Any) -> None:
        verify_client(*words)
        other_tab = signed_in(admin)
        if meanwhile == "changed":
            form = {"name": "Inlog", "issuer": "http://127.0.0.1:9", "client_id": CLIENT_ID}
            other_tab.post(SECURITY + "provider", form)
        else:
            other_tab.post(SECURITY + "provider/off")

    with organisation_scope(admin.organisation_id):
        IdentityProvider.objects.update(is_active=is_active)
    monkeypatch.setattr(calls, "verify_client", verify_meanwhile)
    page = signed_in(admin).post(SECURITY + "provider/test", follow=True).content.decode()
    assert "changed or switched off during the test" in page
    with organisation_scope(admin.organisation_id):
        assert not IdentityProvider.objects.get().is_active
