"""The comparisons for P1: a plain script that only fetches, hashes and upserts, and a tuned dlt.

Both read the same pages from the same sandbox into the same PostgreSQL, as its owner and without row level
security.
"""

import hashlib
import http.client
import os
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import msgspec
import psycopg

PATH = "/API/controller/api/v2/journaltransaction"
PAGE_SIZE = 1000
LINES = b'"journalTransactionLines":['


class Batch(msgspec.Struct):
    module: str
    batchNumber: str
    journalTransactionLines: list[msgspec.Raw]
    metadata: dict[str, int]


class Line(msgspec.Struct):
    lineNumber: int


def pages(url: str, headers: Mapping[str, str], periods: list[str]) -> Iterator[bytes]:
    """Yield bodies, one after the other on one connection, by period as Koppel reads them."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc)
    for period in periods:
        number, total = 1, PAGE_SIZE
        while (number - 1) * PAGE_SIZE < total:
            query = urlencode({"pageNumber": number, "pageSize": PAGE_SIZE, "periodId": period})
            connection.request("GET", f"{PATH}?{query}", headers=dict(headers))
            body = connection.getresponse().read()
            yield body
            offset = body.rfind(b'"totalCount":')
            total = int(body[offset + 13 : body.find(b",", offset)]) if offset > 0 else 0
            number += 1
    connection.close()


def floor(url: str, headers: Mapping[str, str], periods: list[str], database: str) -> tuple[float, int]:
    """Run the plain script; return its seconds and lines.

    It stores key, SHA-256 and bytes of every batch and line, in one transaction per page.
    """
    batch, line = msgspec.json.Decoder(Batch), msgspec.json.Decoder(Line)
    raws = msgspec.json.Decoder(list[msgspec.Raw])
    with psycopg.connect(database, autocommit=True) as connection:
        for table in ("floor_batch", "floor_line"):
            connection.execute(f"DROP TABLE IF EXISTS {table}")
            connection.execute(f"CREATE TABLE {table} (id text PRIMARY KEY, hash bytea, raw bytea)")
            connection.execute(
                f"CREATE TEMP TABLE in_{table} (id text, hash bytea, raw bytea) ON COMMIT DELETE ROWS"
            )
        began, count = time.perf_counter(), 0
        for body in pages(url, headers, periods):
            batches, lines = {}, {}
            for raw in raws.decode(body):
                payload = bytes(raw)
                entry = batch.decode(payload)
                key = f"{entry.module} {entry.batchNumber}"
                head = payload[: payload.find(LINES)]
                batches[key] = (key, hashlib.sha256(head).digest(), head)
                for raw_line in entry.journalTransactionLines:
                    bytes_ = bytes(raw_line)
                    line_key = f"{key} {line.decode(bytes_).lineNumber}"
                    lines[line_key] = (line_key, hashlib.sha256(bytes_).digest(), bytes_)
            with connection.transaction():
                _upsert(connection, "floor_line", lines)
                _upsert(connection, "floor_batch", batches)
            count += len(lines)
        return time.perf_counter() - began, count


def _upsert(
    connection: psycopg.Connection[Any], table: str, rows: dict[str, tuple[str, bytes, bytes]]
) -> None:
    with connection.cursor().copy(f"COPY in_{table} FROM STDIN (FORMAT binary)") as copy:
        copy.set_types(["text", "bytea", "bytea"])
        for row in rows.values():
            copy.write_row(row)
    connection.execute(
        f"INSERT INTO {table} SELECT * FROM in_{table}"
        " ON CONFLICT (id) DO UPDATE SET hash = excluded.hash, raw = excluded.raw"
    )


def dlt(url: str, headers: Mapping[str, str], database: str, folder: Path) -> tuple[float, int]:
    """Run dlt's `rest_api` to `postgres` with `merge`; return its seconds and rows.

    Tuned: csv loader files, lines flattened so that no child table is needed, two normalising processes,
    large buffers, upsert instead of delete and insert. Heads are left out.
    """
    os.environ |= {
        "RUNTIME__DLTHUB_TELEMETRY": "false",
        "RUNTIME__LOG_LEVEL": "ERROR",
        "NORMALIZE__WORKERS": "2",
        "NORMALIZE__START_METHOD": "spawn",
        "DATA_WRITER__BUFFER_MAX_ITEMS": "20000",
        "NORMALIZE__DATA_WRITER__FILE_MAX_ITEMS": "50000",
        "EXTRACT__DATA_WRITER__FILE_MAX_ITEMS": "50000",
        "LOAD__WORKERS": "2",
    }
    import dlt as peer
    from dlt.sources.rest_api import rest_api_source

    source = rest_api_source(_source(url, headers))
    source.max_table_nesting = 0
    pipeline = peer.pipeline(
        "bench",
        destination=peer.destinations.postgres(database),
        dataset_name="dlt_bench",
        pipelines_dir=str(folder),
    )
    began = time.perf_counter()
    pipeline.run(source, loader_file_format="csv")
    seconds = time.perf_counter() - began
    with psycopg.connect(database) as connection:
        row = connection.execute("SELECT count(*) FROM dlt_bench.lines").fetchone()
    return seconds, int(row[0]) if row else 0


def _source(url: str, headers: Mapping[str, str]) -> Any:
    flatten: Callable[[dict[str, Any]], list[dict[str, Any]]] = lambda batch: [  # noqa: E731 - a step of the source
        {"batch_module": batch["module"], "batch_number": batch["batchNumber"], **line}
        for line in batch["journalTransactionLines"]
    ]
    return {
        "client": {"base_url": url, "headers": dict(headers)},
        "resources": [
            {
                "name": "lines",
                "primary_key": ["batch_module", "batch_number", "lineNumber"],
                "write_disposition": {"disposition": "merge", "strategy": "upsert"},
                "endpoint": {
                    "path": PATH,
                    "params": {"pageSize": PAGE_SIZE, "lastModifiedDateTime": "2000-01-01T00:00:00"},
                    "data_selector": "$",
                    "paginator": {
                        "type": "page_number",
                        "base_page": 1,
                        "page_param": "pageNumber",
                        "total_path": None,
                        "stop_after_empty_page": True,
                    },
                },
                "processing_steps": [{"yield_map": flatten}],
            }
        ],
    }
