"""A company of the sandbox: its identity, and its books, which are generated on first use."""

import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from koppel_sandbox.ledger import Books

IDENTITY = ("name", "country", "currency", "number", "vat_number", "city", "source", "units", "skipped_lines")


@dataclass
class Company:
    """A company at the simulated vendor."""

    id: int
    tenant_id: str
    name: str
    country: str
    currency: str
    number: str
    """As its staff typed it into the accounting system, errors included; so is `vat_number`."""
    vat_number: str
    city: str
    make_books: Callable[[], Books]
    source: str | None = None
    """The name of its SIE file; None for a generated company."""
    skipped_lines: tuple[tuple[int, str], ...] = ()
    """The unreadable lines of that file: number and reason."""
    units: tuple[tuple[str, str], ...] = (("1", "Main"),)
    """Its branches: number and name."""
    closed: bool = False
    """Whether its users closed the company."""
    licensed: bool = True
    """False: its licence has expired."""
    _books: Books | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def customer_tenant_id(self) -> str:
        """The id of the customer tenant that owns the company, which people confuse with the company's."""
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
        """Return whether the books were generated; listing a company must not generate them."""
        return self._books is not None

    def keep(self, books: Books) -> None:
        """Replace the books."""
        self._books = books

    def contents(self) -> dict[str, Any]:
        """Return the company's identity and books: everything but its ids at the vendor."""
        return {name: getattr(self, name) for name in (*IDENTITY, "make_books", "_books")}

    def fill(self, contents: dict[str, Any]) -> None:
        """Take the identity and books of another company."""
        for name, value in contents.items():
            setattr(self, name, value)
