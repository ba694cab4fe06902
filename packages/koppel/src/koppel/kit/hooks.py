"""Hooks: a lower app calls a higher one without importing it.

A lower app declares a `Hook`, a `SingleHook` or a `Registry` in its `hooks.py`, with the signature of its
listeners. Higher apps register in their `wiring.py` and nowhere else, so these files show all listeners.
Tests replace listeners with `only`.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Generic, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")
V = TypeVar("V")


class MissingListener(LookupError):
    """A single hook without a default was called before an app registered its listener."""


class Hook(Generic[P, R]):
    """An extension point with any number of listeners, called in the order of registration.

    Registering the same function twice calls it once. Listeners run in the caller's transaction: an exception
    ends the call and reaches the caller.
    """

    def __init__(self) -> None:
        self._listeners: list[Callable[P, R]] = []

    @property
    def listeners(self) -> tuple[Callable[P, R], ...]:
        return tuple(self._listeners)

    def register(self, listener: Callable[P, R]) -> None:
        if listener not in self._listeners:
            self._listeners.append(listener)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> list[R]:
        """Call every listener and return their results."""
        return [listener(*args, **kwargs) for listener in self._listeners]

    def first(self, *args: P.args, **kwargs: P.kwargs) -> R | None:
        """Call listeners until one returns a true value, and return that; otherwise None."""
        results = (listener(*args, **kwargs) for listener in self._listeners)
        return next((result for result in results if result), None)

    @contextmanager
    def only(self, *listeners: Callable[P, R]) -> Iterator[None]:
        """Replace the listeners within the block; for tests."""
        before, self._listeners = self._listeners, list(listeners)
        try:
            yield
        finally:
            self._listeners = before


class SingleHook(Generic[P, R]):
    """An extension point with one listener.

    Without a listener `default` is called; without a default the call raises. As with `Hook`, the listener
    runs in the caller's transaction and its exceptions reach the caller.
    """

    def __init__(self, default: Callable[P, R] | None = None) -> None:
        self._default = default
        self._listener: Callable[P, R] | None = None

    @property
    def listener(self) -> Callable[P, R] | None:
        return self._listener

    def register(self, listener: Callable[P, R]) -> None:
        """Register the listener. Raises `ValueError` when another listener is registered."""
        if self._listener not in (None, listener):
            raise ValueError(f"{self._listener!r} listens already.")
        self._listener = listener

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the listener, otherwise the default. Raises `MissingListener` without either."""
        listener = self._listener or self._default
        if listener is None:
            raise MissingListener
        return listener(*args, **kwargs)

    @contextmanager
    def only(self, listener: Callable[P, R] | None) -> Iterator[None]:
        """Replace the listener within the block, for tests; None removes it."""
        before, self._listener = self._listener, listener
        try:
            yield
        finally:
            self._listener = before


class Registry(Mapping[str, V]):
    """Values that apps register under a key, in order: issue types by code, bulk actions by name."""

    def __init__(self) -> None:
        self._values: dict[str, V] = {}

    def register(self, key: str, value: V) -> None:
        """Register a value under its key. Raises `ValueError` when the key has another one."""
        if key in self._values and self._values[key] is not value:
            raise ValueError(f"{key!r} is registered twice.")
        self._values[key] = value

    def register_all(self, values: Mapping[str, V]) -> None:
        """Register values under their keys. Raises `ValueError` when a key has another value."""
        for key, value in values.items():
            self.register(key, value)

    def __getitem__(self, key: str) -> V:
        return self._values[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    @contextmanager
    def only(self, values: Mapping[str, V]) -> Iterator[None]:
        """Replace the values within the block; for tests."""
        before, self._values = self._values, dict(values)
        try:
            yield
        finally:
            self._values = before
