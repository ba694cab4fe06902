"""Hooks and registries: several listeners, one listener, values by key."""

import pytest

from koppel.kit.hooks import Hook, MissingListener, Registry, SingleHook


def test_listeners_are_called_once_each_in_the_order_of_registering() -> None:
    hook = Hook[[int], str]()
    for listener in (str, bin, str):
        hook.register(listener)
    assert hook(5) == ["5", "0b101"]


def test_an_exception_of_a_listener_ends_the_call() -> None:
    hook = Hook[[str], object]()
    heard: list[str] = []
    hook.register(int)
    hook.register(heard.append)
    with pytest.raises(ValueError, match="invalid literal"):
        hook("five")
    assert heard == []


def test_the_first_true_result_ends_the_call() -> None:
    hook = Hook[[int], int]()
    for listener in (lambda number: number - 5, lambda number: number, lambda number: 1 // 0):
        hook.register(listener)
    assert hook.first(5) == 5
    with hook.only():
        assert hook.first(5) is None


def test_without_its_one_listener_the_default_answers() -> None:
    hook = SingleHook[[int], str](lambda number: f"about {number}")
    assert hook(5) == "about 5"
    hook.register(str)
    hook.register(str)
    assert hook(5) == "5"
    with pytest.raises(ValueError, match="listens already"):
        hook.register(bin)


def test_without_a_default_a_missing_listener_is_an_error() -> None:
    with pytest.raises(MissingListener):
        SingleHook[[int], str]()(5)


def test_a_key_has_one_value() -> None:
    registry = Registry[str]()
    registry.register_all({"first": "one", "second": "two"})
    registry.register("first", registry["first"])
    assert dict(registry) == {"first": "one", "second": "two"}
    with pytest.raises(ValueError, match="'first' is registered twice"):
        registry.register("first", "three")


def test_replaced_listeners_are_restored() -> None:
    hook, single, registry = Hook[[int], str](), SingleHook[[int], str](str), Registry[int]()
    hook.register(str)
    registry.register("five", 5)
    with hook.only(bin), single.only(hex), registry.only({}):
        assert (hook(5), single(5), dict(registry)) == (["0b101"], "0x5", {})
    assert (hook(5), single(5), dict(registry)) == (["5"], "5", {"five": 5})
