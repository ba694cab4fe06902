"""The sandbox's memory of calls: what one test left under way is not told to the next."""

import threading

from tests.fixtures.stack import Sandbox, wait_until


def test_a_call_that_is_under_way_is_forgotten_with_the_others(sandbox: Sandbox) -> None:
    sandbox.control("settings", {"latency_seconds": 0.5})
    answered = threading.Event()

    def call() -> None:
        sandbox_get(sandbox, "/.well-known/openid-configuration")
        answered.set()

    threading.Thread(target=call).start()
    wait_until(lambda: not answered.wait(0.2))
    sandbox.forget_calls()
    assert answered.wait(10)
    assert sandbox.calls() == []
    sandbox_get(sandbox, "/.well-known/openid-configuration")
    assert len(sandbox.calls()) == 1


def sandbox_get(sandbox: Sandbox, path: str) -> None:
    import urllib.request

    urllib.request.urlopen(sandbox.url + path, timeout=20).close()
