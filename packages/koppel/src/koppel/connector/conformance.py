"""The conformance suite: rules C1–C19 for connectors and the hub, for use with a connector's sandbox.

`RULES` describes each rule and names who is responsible. `check_reading`, `check_normalising`, `check_error`
and `check_rate_limits` check the connector's rules. The rules of the hub are guarantees for connectors,
tested by the hub's own tests. A failed check raises `ConformanceError`.
"""

import dataclasses
from collections.abc import Awaitable, Callable, Collection, Sequence
from decimal import Decimal

from koppel.connector.contract import (
    NORMALISATION_VERSION_MAX,
    Connector,
    DeleteMode,
    HistoryWindow,
    Page,
    RateLimitStatus,
    ReadMode,
    ResourceSpec,
    Session,
    rate_limits_of,
)
from koppel.connector.errors import ConnectorError
from koppel.connector.rows import ROWS
from koppel.kit.http.client import Response

PAGES_MAX = 10_000
HOSTILE_HEADERS = (
    "",
    "-1",
    "-1e9",
    "inf",
    "-inf",
    "nan",
    "1e400",
    "9" * 30,
    "9" * 5000,
    "1.5",
    "soon",
    "\x00",
    "٣",
)
"""Values that a broken or hostile server sends instead of a number."""


class ConformanceError(AssertionError):
    """A rule is broken. The message names the rule, the resource and the observed values."""


@dataclasses.dataclass(frozen=True)
class Rule:
    """A rule of the suite."""

    key: str
    description: str
    responsible: str
    """connector (checked here), hub, or nobody (the contract does not offer this yet)."""


RULES = (
    Rule("C1", "Two workers that need a token at once send one token request.", "hub"),
    Rule("C2", "A crash between storing a token response and using it costs nothing.", "hub"),
    Rule("C3", "No refresh before the vendor allows it; one for a refused token, not two.", "hub"),
    Rule("C4", "The same person consents again: the old grant is replaced, links stay.", "hub"),
    Rule(
        "C5",
        "A read that goes on from any page's cursor in another process ends with the same records.",
        "connector",
    ),
    Rule("C6", "A row edited while paging is not lost.", "connector"),
    Rule("C7", "Another sync epoch reloads everything.", "nobody"),
    Rule(
        "C8",
        "A cursor that the connector cannot follow is refused, never read as something else.",
        "connector",
    ),
    Rule("C9", "Only the end of a full read proves absence.", "connector"),
    Rule("C10", "Two companies with equal keys never mix.", "hub"),
    Rule("C11", "A refusal for a quota says how long to wait.", "connector"),
    Rule(
        "C12", "An error in a good response is an error; only the contract's errors are raised.", "connector"
    ),
    Rule("C13", "A write that timed out is unknown, and looked up.", "nobody"),
    Rule("C14", "Amounts reach the row exactly as they were written.", "connector"),
    Rule("C15", "No secret stands in an error's text.", "connector"),
    Rule("C16", "Normalising depends on nothing but the bytes.", "connector"),
    Rule("C17", "A company outside the consent is told from an outage.", "connector"),
    Rule("C18", "Rate limits are read from headers as possible numbers, or not at all.", "connector"),
    Rule("C19", "Normalising has a version for each resource.", "connector"),
)

ReadFrom = Callable[[str | None], Awaitable[Page]]


async def check_reading(
    connector: Connector, session: Session, window: HistoryWindow
) -> dict[str, list[Page]]:
    """Check C5, C8, C9 and C17 on every resource of the session's company.

    Returns the pages of each full read.
    """
    pages_by_resource: dict[str, list[Page]] = {}
    for spec in await connector.list_resources(session):
        _check_spec(spec)
        if spec.available:
            pages_by_resource[spec.key] = await _check_resource(connector, session, window, spec)
    return pages_by_resource


def check_normalising(connector: Connector, pages: dict[str, list[Page]]) -> None:
    """Check C14, C16 and C19.

    Equal bytes give an equal row of the resource's type, with `Decimal` amounts, in a version that is stated.
    """
    _check_versions(connector)
    for resource, pages_of_resource in pages.items():
        for record in (record for page in pages_of_resource for record in page.records):
            _check_normalising_is_stable(connector, resource, record.raw, "")
            for child in record.children:
                _check_normalising_is_stable(connector, "entry_lines", child.raw, record.external_id)


async def check_error(
    call: Callable[[], Awaitable[object]],
    expected: Collection[type[ConnectorError]],
    secrets: Sequence[str] = (),
) -> ConnectorError:
    """Check C11, C12, C15 and C17: a misbehaving vendor leads to one of the expected errors.

    The error must not contain a secret. Returns the error.
    """
    try:
        await call()
    except ConnectorError as error:
        if type(error) not in expected:
            raise ConformanceError(
                f"C12: {type(error).__name__} was raised, {_names(expected)} expected."
            ) from error
        text = f"{error} {error.code} {error.sentence}"
        if any(secret and secret in text for secret in secrets):
            raise ConformanceError("C15: a secret stands in the text of an error.") from None
        return error
    except Exception as error:
        raise ConformanceError(f"C12: {type(error).__name__} is not of the contract.") from error
    raise ConformanceError(f"C12: nothing was raised, {_names(expected)} expected.")


def check_rate_limits(connector: Connector, response: Response) -> Sequence[RateLimitStatus]:
    """Check C18 on a real response, without each of its headers, and with each of them hostile.

    Returns the limits that the real response states; none for a connector that reads no limits.
    """
    for name in response.headers:
        others = {header: value for header, value in response.headers.items() if header != name}
        for headers in (others, *({**others, name: value} for value in HOSTILE_HEADERS)):
            _stated_limits(connector, dataclasses.replace(response, headers=headers), name)
    if _stated_limits(connector, dataclasses.replace(response, headers={}), "all"):
        raise ConformanceError("C18: a response without headers states a limit.")
    return _stated_limits(connector, response, "none")


def _stated_limits(connector: Connector, response: Response, changed: str) -> Sequence[RateLimitStatus]:
    try:
        limits = rate_limits_of(connector, response)
    except Exception as error:
        raise ConformanceError(f"C18: {type(error).__name__} over the header {changed}.") from error
    if len({limit.policy for limit in limits}) < len(limits):
        raise ConformanceError("C18: two limits have the same policy.")
    return limits


async def read_to_end(read: ReadFrom, cursor: str | None = None) -> list[Page]:
    """Return all pages from a cursor on. Raises `ConformanceError` for an endless read."""
    pages: list[Page] = []
    while len(pages) < PAGES_MAX:
        page = await read(cursor)
        pages.append(page)
        if page.next_cursor is None:
            return pages
        cursor = page.next_cursor
    raise ConformanceError(f"C5: a read did not end within {PAGES_MAX} pages.")


def keys(pages: Sequence[Page]) -> list[str]:
    return [record.external_id for page in pages for record in page.records]


async def _check_resource(
    connector: Connector, session: Session, window: HistoryWindow, spec: ResourceSpec
) -> list[Page]:
    async def read(cursor: str | None) -> Page:
        return await connector.read_page(session, spec.key, ReadMode.FULL, window, cursor)

    pages = await read_to_end(read)
    _check_end(spec, pages)
    await _check_resumption(spec, read, pages)
    await _check_invalid_cursor(spec, read)
    return pages


def _check_spec(spec: ResourceSpec) -> None:
    if spec.key not in ROWS or not spec.read_modes or ReadMode.FULL not in spec.read_modes:
        raise ConformanceError(f"C9: {spec.key} is unknown or cannot be read in full.")
    if not spec.available and not spec.unavailable_reason:
        raise ConformanceError(f"C17: {spec.key} is not available and does not say why.")


def _check_end(spec: ResourceSpec, pages: Sequence[Page]) -> None:
    """Check that only the last page has an incremental cursor.

    A full read must also have an absence proof if absence means deletion.
    """
    if any(page.incremental_cursor for page in pages[:-1]):
        raise ConformanceError(f"C9: {spec.key} gives an incremental cursor before the end of the read.")
    if spec.delete_mode is DeleteMode.BY_ABSENCE and not any(page.absence_proof for page in pages):
        raise ConformanceError(f"C9: a full read of {spec.key} proves nothing.")
    if spec.delete_mode is not DeleteMode.BY_ABSENCE and any(page.absence_proof for page in pages):
        raise ConformanceError(f"C9: {spec.key} proves absence, which its delete mode excludes.")


async def _check_resumption(spec: ResourceSpec, read: ReadFrom, pages: Sequence[Page]) -> None:
    for index, page in enumerate(pages[:-1][:: max(1, len(pages) // 4)]):
        rest = await read_to_end(read, page.next_cursor)
        first = pages.index(page) + 1
        if keys(rest) != keys(pages[first:]):
            raise ConformanceError(f"C5: {spec.key} read on from page {index} ends with other records.")


async def _check_invalid_cursor(spec: ResourceSpec, read: ReadFrom) -> None:
    try:
        await read('{"type":"of another connector"}')
    except (ConnectorError, ValueError):
        return
    raise ConformanceError(f"C8: {spec.key} took a cursor that is not its own.")


def _check_normalising_is_stable(connector: Connector, resource: str, raw: bytes, parent: str) -> None:
    try:
        first, second = (connector.normalise(resource, raw, parent) for _each in range(2))
    except ValueError:
        return
    if first != second or type(first) is not ROWS[resource]:
        raise ConformanceError(f"C16: {resource} is not a pure function of its bytes.")
    if any(isinstance(getattr(first, name), float) for name in first.__struct_fields__):
        raise ConformanceError(f"C14: {resource} has an amount that is a float.")
    for name in first.__struct_fields__:
        value = getattr(first, name)
        if isinstance(value, Decimal) and not value.is_finite():
            raise ConformanceError(f"C14: {resource}.{name} is not finite.")


def _check_versions(connector: Connector) -> None:
    versions = connector.normalisation_versions
    for resource in ROWS:
        version = versions.get(resource)
        if type(version) is not int or not 1 <= version <= NORMALISATION_VERSION_MAX:
            raise ConformanceError(f"C19: {resource} has the version {version!r}, not one from 1.")


def _names(kinds: Collection[type[ConnectorError]]) -> str:
    return " or ".join(sorted(kind.__name__ for kind in kinds))
