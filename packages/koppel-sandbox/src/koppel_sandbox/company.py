"""A company of the sandbox: who it is, and its books, which are made when they are first asked for."""

import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from koppel_sandbox.ledger import Books

IDENTITY = ("name", "country", "currency", "number", "vat_number", "city", "source", "units", "left_out")


@dataclass
class Company:
    """`number` and `vat_number` are what its people once typed into the accounting system, faults included.

    `source` is the SIE file's name, or None when it was generated; `left_out` are the lines of it that cannot
    be read: number and reason. `units` are (number, name) of its
    branches. `closed`: its people ended it; `licensed` False: the vendor's licence ran out."""

    id: int
    tenant_id: str
    name: str
    country: str
    currency: str
    number: str
    vat_number: str
    city: str
    make_books: Callable[[], Books]
    source: str | None = None
    left_out: tuple[tuple[int, str], ...] = ()
    units: tuple[tuple[str, str], ...] = (("1", "Main"),)
    closed: bool = False
    licensed: bool = True
    _books: Books | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def customer_tenant_id(self) -> str:
        """The id of the customer that owns the company: people take it for the company's own."""
        return str(uuid.uuid5(uuid.NAMESPACE_URL, f"customer/{self.tenant_id}"))

    @property
    def books(self) -> Books:
        if self._books is None:
            with self._lock:
                if self._books is None:
                    self._books = self.make_books()
        return self._books

    @property
    def has_books(self) -> bool:
        """Return whether the books have been made: listing and describing a company must not make them."""
        return self._books is not None

    def keep(self, books: Books) -> None:
        """Put other books in place."""
        self._books = books

    def contents(self) -> dict[str, Any]:
        """Return who it is and its books: all but the ids under which the vendor knows it."""
        return {name: getattr(self, name) for name in (*IDENTITY, "make_books", "_books")}

    def fill(self, contents: dict[str, Any]) -> None:
        """Stand for another company from now on."""
        for name, value in contents.items():
            setattr(self, name, value)
