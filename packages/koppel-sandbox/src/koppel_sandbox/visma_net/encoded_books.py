"""A company's books in the format of responses.

They are encoded once and changed through the control endpoints; pages are cached until a change.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from koppel_sandbox.company import Company
from koppel_sandbox.visma_net import shapes

PAGE_SIZE_MAX = 1000
PAGES_KEPT = 400


@dataclass(kw_only=True)
class ScheduledChange:
    """A change that is made after `calls` more responses to calls whose path contains `path`."""

    path: str
    calls: int
    change: Mapping[str, Any]


@dataclass(kw_only=True)
class Batch:
    """A journal batch in the format of responses. `modified` is in the API's form without a time zone."""

    key: tuple[str, str]
    period: str
    modified: str
    head: bytes
    lines: list[bytes]


@dataclass
class EncodedBooks:
    """The encoded books of a company.

    `page_size_max`: a larger `pageSize` is reduced to this; `stated_page_size_max` is the value in
    `metadata`, if it differs. `copies`: every batch is sent this many times, under different numbers: a large
    ledger in little memory. `scheduled_changes`: changes to be made while a client reads.
    """

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
        batches.append(
            Batch(
                key=(entry.module, entry.number), period=entry.period, modified=stamp, head=head, lines=lines
            )
        )
    return EncodedBooks(batches, list(shapes.balances(company)))
