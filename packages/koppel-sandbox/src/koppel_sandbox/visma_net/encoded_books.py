"""A company's books as they are sent: encoded once, changed by the control
plane, pages kept until something changes."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from koppel_sandbox.company import Company
from koppel_sandbox.visma_net import shapes

PAGE_SIZE_MAX = 1000
PAGES_KEPT = 400


@dataclass
class ScheduledChange:
    """A change that is made once `calls` more calls have been answered whose path contains `path`."""

    path: str
    calls: int
    change: Mapping[str, Any]


@dataclass
class Batch:
    """A journal batch, ready to be sent. `modified` in the zone-less form of the API."""

    key: tuple[str, str]
    period: str
    modified: str
    head: bytes
    lines: list[bytes]


@dataclass
class EncodedBooks:
    """What has been made of a company's books for sending.

    `page_size_max`: where a larger `pageSize` is cut; `stated_page_size_max`: what `metadata` says, when that
    is something else. `copies`: so many times each batch is sent, under other numbers: a large ledger in
    little memory. `scheduled_changes`: what will be done to the batches while a client reads."""

    batches: list[Batch]
    balances: list[tuple[str, str, bytes]]
    lists: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    page_size_max: int = PAGE_SIZE_MAX
    stated_page_size_max: int | None = None
    copies: int = 1
    scheduled_changes: list[ScheduledChange] = field(default_factory=list)
    pages: dict[tuple[str, ...], bytes] = field(default_factory=dict)
    by_period: dict[str, list[Batch]] = field(default_factory=dict)

    def of_period(self, period: str) -> list[Batch]:
        if not self.by_period:
            for batch in self.batches:
                self.by_period.setdefault(batch.period, []).append(batch)
        return self.by_period.get(period, [])

    def forget_pages(self) -> None:
        self.pages.clear()
        self.by_period.clear()

    def keep_page(self, key: tuple[str, ...], body: bytes) -> bytes:
        if len(self.pages) >= PAGES_KEPT:
            self.pages.clear()
        self.pages[key] = body
        return body


def encode_books(company: Company) -> EncodedBooks:
    batches = []
    for entry in company.books.entries:
        head, lines = shapes.batch(company, entry)
        stamp = shapes.moment(entry.modified)
        batches.append(Batch((entry.module, entry.number), entry.period, stamp, head, lines))
    return EncodedBooks(batches, list(shapes.balances(company)))
