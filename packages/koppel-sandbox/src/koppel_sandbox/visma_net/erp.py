"""The ERP API: company of a call, case-insensitive routing, paging with its quirks, limits.

Quirks of the real API that are simulated: totals are inside every item; a `pageSize` above the maximum is
reduced silently; journal pages count lines and split a batch; about half of the lists are not paged;
`lastModifiedDateTime` without its condition is ignored, except on the two endpoints that have no condition.
"""

import asyncio
import operator
from collections.abc import Callable, Collection, Iterator, Mapping
from datetime import datetime
from typing import Any
from urllib.parse import unquote

from aiohttp import web

from koppel_sandbox.clock import Clock
from koppel_sandbox.company import Company
from koppel_sandbox.visma_net import changes, shapes
from koppel_sandbox.visma_net.encoded_books import Batch, EncodedBooks, encode_books

PAGE_SIZE_DEFAULT = 500
Query = Mapping[str, str]

LISTS: dict[str, Callable[[Company], list[dict[str, Any]]]] = {
    "/v1/organization": shapes.organizations,
    "/v1/branch": shapes.branches,
    "/v1/account": shapes.accounts,
    "/v1/ledger": shapes.ledgers,
    "/v1/financialperiod": shapes.periods,
    "/v1/vat": shapes.vat_codes,
    "/v1/department": shapes.departments,
}
PAGED: dict[str, Callable[[Company], list[dict[str, Any]]]] = {
    "/v1/project": shapes.projects,
    "/v1/customer": shapes.customers,
    "/v1/supplier": shapes.suppliers,
}
COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    ">": operator.gt,
    "<": operator.lt,
    ">=": operator.ge,
    "<=": operator.le,
}


class Erp:
    """Answers calls about companies. Books are generated once, on first use, in a thread."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._stored: dict[int, EncodedBooks] = {}
        self._locks: dict[int, asyncio.Lock] = {}

    def forget(self, company_ids: Collection[int] | None = None) -> None:
        """Discard the encoded books of these companies, or of all."""
        for company_id in list(self._stored) if company_ids is None else company_ids:
            self._stored.pop(company_id, None)

    async def encoded_books(self, company: Company) -> EncodedBooks:
        if company.id not in self._stored:
            async with self._locks.setdefault(company.id, asyncio.Lock()):
                if company.id not in self._stored:
                    self._stored[company.id] = await asyncio.to_thread(encode_books, company)
        return self._stored[company.id]

    async def respond(self, company: Company, path: str, query: Query) -> web.Response:
        """Answer a call.

        `path` is in lower case, without the old gateway's prefix. `query` names are in lower case.
        """
        if path == "/v1/organization" and not company.has_books:
            return _json(shapes.encode(shapes.organizations(company)))
        encoded = await self.encoded_books(company)
        response = self._books_response(encoded, company, path, query)
        if encoded.scheduled_changes:
            changes.run_due(encoded, path, shapes.moment(self._clock.now()))
        return response

    def _books_response(  # noqa: PLR0911 - one return per path
        self, encoded: EncodedBooks, company: Company, path: str, query: Query
    ) -> web.Response:
        if path == "/v2/journaltransaction":
            return _journal(encoded, query)
        if path == "/v2/generalledgerbalance":
            return _balances(encoded, query)
        if path in LISTS:
            return _json(shapes.encode(_changed_rows(_list(encoded, company, path, LISTS[path]), query)))
        if path in PAGED:
            return _page_response(
                encoded, _changed_rows(_list(encoded, company, path, PAGED[path]), query), query
            )
        if path == "/v1/creditterm":
            return _envelope(encoded, _list(encoded, company, path, shapes.credit_terms), query)
        if path == "/v1/dimension":
            return _json(shapes.encode(["SUBACCOUNT"] if company.books.dimensions else []))
        if path.startswith("/v1/dimension/") and unquote(path.rsplit("/", 1)[1]) == "subaccount":
            return _json(shapes.encode(shapes.dimension(company)))
        return message(404, "The requested resource was not found.")


def message(status: int, text: str) -> web.Response:
    """Return a business error of the current API."""
    return web.json_response({"message": text}, status=status)


def _list(
    encoded: EncodedBooks, company: Company, path: str, make: Callable[[Company], list[dict[str, Any]]]
) -> list[dict[str, Any]]:
    if path not in encoded.lists:
        encoded.lists[path] = make(company)
    return encoded.lists[path]


def _changed_rows(rows: list[dict[str, Any]], query: Query) -> list[dict[str, Any]]:
    since, condition = query.get("lastmodifieddatetime"), query.get("lastmodifieddatetimecondition")
    if not since or condition not in COMPARE:
        return rows
    since_moment, compare = _moment(since), COMPARE[condition]
    return [
        row
        for row in rows
        if "lastModifiedDateTime" not in row or compare(_moment(row["lastModifiedDateTime"]), since_moment)
    ]


def _moment(text: str) -> datetime:
    """Parse a time.

    Raises `HTTPBadRequest` for a form that the API does not accept, such as one with a time zone.
    """
    for form in (
        "%Y-%m-%dT%H:%M:%S.%f",
        "%Y-%m-%dT%H:%M:%S",
        "%Y-%m-%d %H:%M:%S.%f",
        "%Y-%m-%d %H:%M:%S",
        "%Y-%m-%d",
    ):
        try:
            return datetime.strptime(text, form)  # noqa: DTZ007 - the API's times have no zone
        except ValueError:
            continue
    raise web.HTTPBadRequest(
        text='{"message": "lastModifiedDateTime has a wrong format."}', content_type="application/json"
    )


def _page_of(encoded: EncodedBooks, query: Query) -> tuple[int, int]:
    number = max(1, int(query.get("pagenumber") or 1))
    size = int(query.get("pagesize") or PAGE_SIZE_DEFAULT)
    return number, min(max(size, 1), encoded.page_size_max)


def _metadata(encoded: EncodedBooks, total: int) -> dict[str, int]:
    return {"totalCount": total, "maxPageSize": encoded.stated_page_size_max or encoded.page_size_max}


def _page_response(encoded: EncodedBooks, rows: list[dict[str, Any]], query: Query) -> web.Response:
    number, size = _page_of(encoded, query)
    page_rows = rows[(number - 1) * size : number * size]
    return _json(shapes.encode([{**row, "metadata": _metadata(encoded, len(rows))} for row in page_rows]))


def _envelope(encoded: EncodedBooks, rows: list[dict[str, Any]], query: Query) -> web.Response:
    number, size = _page_of(encoded, query)
    page_rows = rows[(number - 1) * size : number * size]
    return _json(
        shapes.encode({"pageNumber": number, "pageSize": size, "totalCount": len(rows), "records": page_rows})
    )


def _selection(query: Query) -> tuple[str, str] | None:
    """Return (periodId, lastModifiedDateTime in the stored form).

    None when both parameters are missing; one of them is mandatory.
    """
    period, since = query.get("periodid", ""), query.get("lastmodifieddatetime", "")
    if not period and not since:
        return None
    return period, shapes.moment(_moment(since)) if since else ""


def _journal(encoded: EncodedBooks, query: Query) -> web.Response:
    selected = _selection(query)
    if selected is None:
        return message(400, "Either periodId or lastModifiedDateTime must be specified.")
    period, since = selected
    module = query.get("module", "")
    number, size = _page_of(encoded, query)
    key = (period, since, module, str(number), str(size))
    if key in encoded.pages:
        return _json(encoded.pages[key])
    batches = [
        batch
        for batch in (encoded.of_period(period) if period else encoded.batches)
        if batch.modified >= since and (not module or batch.key[0] == module)
    ]
    return _json(encoded.keep_page(key, _lines(encoded, batches, (number - 1) * size, number * size)))


def _lines(encoded: EncodedBooks, batches: list[Batch], first: int, last: int) -> bytes:
    """Return a page by number of lines; a batch at its edge is split."""
    line_count = sum(len(batch.lines) for batch in batches)
    tail = b'],"metadata":' + shapes.encode(_metadata(encoded, line_count * encoded.copies)) + b"}"
    parts: list[bytes] = []
    for copy in range(first // line_count if line_count else 0, encoded.copies):
        if copy * line_count >= last and copy > 0:
            break
        prefix = b'"batchNumber":"' + (b"%d-" % copy if copy else b"")
        for head, lines in _slice_batches(batches, first - copy * line_count, last - copy * line_count):
            parts.append(head.replace(b'"batchNumber":"', prefix, 1) + b",".join(lines) + tail)
    return b"[" + b",".join(parts) + b"]"


def _slice_batches(batches: list[Batch], first: int, last: int) -> Iterator[tuple[bytes, list[bytes]]]:
    position, total = 0, sum(len(batch.lines) for batch in batches)
    for batch in batches:
        end = position + len(batch.lines)
        empty_here = not batch.lines and first <= position and (position < last or position == total)
        if empty_here or (end > first and position < last):
            yield batch.head, batch.lines[max(0, first - position) : last - position]
        position = end
        if position > last:
            break


def _balances(encoded: EncodedBooks, query: Query) -> web.Response:
    selected = _selection(query)
    if selected is None:
        return message(400, "Either periodId or lastModifiedDateTime must be specified.")
    period, since = selected
    rows = [row for key, stamp, row in encoded.balances if (not period or key == period) and stamp >= since]
    number, size = _page_of(encoded, query)
    tail = b',"metadata":' + shapes.encode(_metadata(encoded, len(rows))) + b"}"
    return _json(b"[" + b",".join(row + tail for row in rows[(number - 1) * size : number * size]) + b"]")


def _json(body: bytes) -> web.Response:
    return web.Response(body=body, content_type="application/json", charset="utf-8")
