"""The sandbox's memory of calls: what one test left under way is not told to the next."""

import threading

from tests.fixtures.stack import PATIENCE_SECONDS, Sandbox, wait_until


def test_a_call_that_is_under_way_is_forgotten_with_the_others(sandbox: Sandbox) -> None:
    sandbox.hold("openid-configuration")
    answered = threading.Event()

    def call() -> None:
        sandbox_get(sandbox, "/.well-known/openid-configuration")
        answered.set()

    threading.Thread(target=call).start()
    wait_until(sandbox.holds)
    sandbox.forget_calls()
    sandbox.release()
    assert answered.wait(PATIENCE_SECONDS)
    assert sandbox.calls() == []
    sandbox_get(sandbox, "/.well-known/openid-configuration")
    assert len(sandbox.calls()) == 1


def sandbox_get(sandbox: Sandbox, path: str) -> None:
    import urllib.request

    urllib.request.urlopen(sandbox.url + path, timeout=PATIENCE_SECONDS).close()
