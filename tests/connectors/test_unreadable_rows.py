"""Rows that are no JSON: the others of the document are read, and nothing is lost unseen."""

import asyncio
import json
from typing import Any

import msgspec
import pytest

from koppel.connector.errors import UnexpectedResponse, Unreachable
from koppel.connector.unreadable_rows import original_row, replace_unreadable_rows
from koppel.connectors.visma_net import client, record_mapping
from koppel.connectors.visma_net.client import json_object

ROWS = list[dict[str, msgspec.Raw]]
ODD = [
    rb'{"a":"x\ud800y"}',
    rb'{"\udc00":1}',
    b'{"a":NaN}',
    b'{"a":-Infinity}',
    b'{"a":"a\x00b"}',
    b'{"a":"a\nb"}',
    b'{"a":01}',
    b'{"a":' + b"[" * 5000 + b"]" * 5000 + b"}",
    rb'{"a":"quote \" bracket ] comma ,","b":NaN}',
]


def parse_rows(body: bytes, kind: Any) -> Any:
    return asyncio.run(client.parse_rows(body, kind))


@pytest.mark.parametrize("odd", ODD)
def test_the_other_rows_of_a_page_are_read_and_the_odd_one_is_kept_as_it_was_sent(odd: bytes) -> None:
    rows = parse_rows(b'[{"id":1} , ' + odd + b', {"id":"[\\"]"}]', ROWS)
    assert [bytes(row["id"]) if "id" in row else None for row in rows] == [b"1", None, rb'"[\"]"']
    assert original_row(msgspec.json.encode(rows[1])) == odd
    assert original_row(msgspec.json.encode(rows[0])) is None


def test_rows_of_an_envelope_and_of_lists_within_lists_are_found() -> None:
    envelope = replace_unreadable_rows(b'{"total":2,"records":[{"a":[NaN]},{"a":[1]}]}')
    assert [original_row(json.dumps(row).encode()) for row in json.loads(envelope or b"")["records"]] == [
        b'{"a":[NaN]}',
        None,
    ]
    nested = json.loads(replace_unreadable_rows(b'{"s":[{"v":[{"id":1},{"id":NaN}]}]}', 2) or b"")
    assert nested["s"][0]["v"][0] == {"id": 1}


@pytest.mark.parametrize("body", [b'[{"a":NaN},{"a":', b'[{"a":NaN}', b'[{"a":NaN}}', b"NaN", b"", b'["a'])
def test_what_is_cut_off_is_never_taken_for_the_whole(body: bytes) -> None:
    with pytest.raises(Unreachable):
        parse_rows(body, ROWS)


def test_a_list_of_which_everything_is_needed_is_repaired_or_refused() -> None:
    class Company(msgspec.Struct):
        id: int
        name: str = ""

    def companies(body: bytes) -> Any:
        return asyncio.run(client.parse(body, list[Company]))

    (company,) = companies(rb'[{"id":1,"name":"x\ud800y"}]')
    assert company.name == "x\ufffdy"
    with pytest.raises(UnexpectedResponse):
        companies(b'[{"id":NaN}]')
    for cut in (b'[{"id":1', b'[{"id":1,"name":"\xff"}]'):
        with pytest.raises(Unreachable):
            companies(cut)


@pytest.mark.parametrize("body", [b"\xff", rb'{"message":"\ud800"}', b'{"a":"\xff"}', b"[" * 5000, b"1e400"])
def test_the_body_of_an_error_never_becomes_an_error_of_its_own(body: bytes) -> None:
    assert json_object(body) == {}


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 2_000_000,
        b'["' + rb"\"" * 2_000_000,
        b"[]" * 2_000_000,
        b'["' + b'"' * 4_000_000,
        b"[" + b"1," * 2_000_000,
    ],
    ids=["brackets", "escaped quotes", "closed brackets", "quotes", "rows"],
)
def test_a_document_of_millions_of_signs_is_refused_while_others_are_served(body: bytes) -> None:
    """Each of these took minutes to hours when the time grew with the square of the length."""

    async def refuse_among_others() -> int:
        turns = 0
        refusal = asyncio.create_task(client.parse_rows(body, list[msgspec.Raw]))
        while not refusal.done():
            await asyncio.sleep(0)
            turns += 1
        with pytest.raises(Unreachable):
            await refusal
        return turns

    assert asyncio.run(refuse_among_others()) > 1, "others waited until it was refused"


def test_a_row_of_a_million_stamps_is_compared_at_once() -> None:
    payload = b'{"id":1' + b',"timeStamp":"1"' * 1_000_000 + b',"a":"b"}'
    assert record_mapping.without_stamps(payload) == b'{"id":1,"a":"b"}'
