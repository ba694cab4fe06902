"""Webhooks call no address of an internal network, unless the operator named the network."""

from ipaddress import ip_network
from typing import Any

import pytest
from django.test import Client

from koppel.kit.http.egress import EgressPolicy
from koppel.organisations.roles import Actor
from tests.notifications.factories import (
    NEWS,
    open_test_event,
)
from tests.notifications.receiver import Receiver
from tests.notifications.webhook_steps import API, anna, browser, create_webhook, log, make_due, program, send

__all__ = ["anna", "browser", "program"]


@pytest.mark.parametrize(
    "url",
    [
        "https://127.0.0.1:1/",
        "https://[::1]/",
        "https://localhost/",
        "https://2130706433/",
        "https://0x7f.1/",
        "https://[::ffff:10.0.0.1]/",
        "https://169.254.169.254/latest/meta-data",
        "https://0.0.0.0/",
    ],
)
def test_an_internal_address_is_not_called(anna: Actor, browser: Client, url: str) -> None:
    """By number, by name, and by ways to write a number that only the system's own look-up understands."""
    answer = browser.post(API, {"name": "x", "url": url}, content_type="application/json")
    if answer.status_code == 409:
        return
    open_test_event(anna, NEWS)
    assert send(anna) == 0
    (entry,) = log(browser, answer.json()["id"])
    assert (entry["state"], entry["reason"], entry["response_status"]) == (
        "waiting",
        "address_not_allowed",
        None,
    )


def test_only_the_networks_that_were_named_are_within_reach() -> None:
    guard = EgressPolicy((ip_network("10.1.0.0/16"), ip_network("fd00::/8")))
    reached = ["10.1.2.3", "fd00::1", "::ffff:10.1.2.3", "93.184.216.34", "2606:4700::1111"]
    not_reached = [
        "10.2.0.1",
        "::ffff:10.2.0.1",
        "64:ff9b::7f00:1",
        "2002:7f00:1::",
        "100.64.0.1",
        "224.0.0.1",
        "fe80::1%eth0",
    ]
    assert [one for one in reached + not_reached if guard.allows(one)] == reached
    assert not EgressPolicy((ip_network("10.1.0.0/16"),), public=False).allows("93.184.216.34")


def test_an_address_without_encryption_is_for_named_networks_alone(browser: Client, settings: Any) -> None:
    for url in (
        "http://example.com/",
        "ftp://example.com",
        "https://a:b@example.com/",
        "https://exämple.com/",
        "",
    ):
        answer = browser.post(API, {"name": "x", "url": url}, content_type="application/json")
        assert answer.status_code == 409, url
    settings.WEBHOOK_NETWORKS = (ip_network("10.0.0.0/8"),)
    assert create_webhook(browser, "http://10.0.0.9/hook")["enabled"]


def test_a_network_may_be_of_one_organisation(
    anna: Actor, program: Receiver, browser: Client, settings: Any
) -> None:
    created = create_webhook(browser, program.url)
    settings.WEBHOOK_NETWORKS = ()
    for organisation_id, reaches in ((anna.organisation_id + 1, False), (anna.organisation_id, True)):
        settings.ORGANISATION_WEBHOOK_NETWORKS = {organisation_id: (ip_network("127.0.0.0/8"),)}
        browser.post(f"{API}/{created['id']}/test")
        make_due(anna)
        send(anna)
        assert bool(program.got) == reaches
