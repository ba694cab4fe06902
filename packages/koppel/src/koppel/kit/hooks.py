"""How a lower app calls what a higher one registered, without importing it."""

from collections.abc import Callable
from typing import Generic, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


class Hook(Generic[P, R]):
    """A typed extension point. Higher apps register functions in their `wiring`; calling the hook calls each in that order.

    Registering the same function twice calls it once."""

    def __init__(self) -> None:
        self._listeners: list[Callable[P, R]] = []

    def register(self, listener: Callable[P, R]) -> Callable[P, R]:
        if listener not in self._listeners:
            self._listeners.append(listener)
        return listener

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> list[R]:
        """What each listener answers. An exception of one ends the call: listeners share the caller's transaction."""
        return [listener(*args, **kwargs) for listener in self._listeners]
