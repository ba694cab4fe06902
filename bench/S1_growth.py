"""The cost of growth: entry lines are added by the million, and the same queries timed after each.

Queries run as the application role. KOPPEL_BENCH_MILLIONS is the number of millions (default 2; a large
organisation has 200). A query concerns one administration, so it reads one partition, whose index is at most
one level deeper when the partition is a hundred times larger. Results for a few million therefore hold for
200: the last figures compare the first million with the last.
"""

import os
import statistics
import sys
import time
from typing import Any

import psycopg

from bench._mock_tenants import in_database
from koppel.kit.tenancy import set_scope_sql

MILLIONS = int(os.environ.get("KOPPEL_BENCH_MILLIONS", "2"))
LINES_EACH, ADMINISTRATIONS_EACH = 20_000, 50
"""A million is 50 administrations of 20,000 lines."""
GROWTH_MAX = 1.5
FIRM = 1

_FILL = """
INSERT INTO books_entry_line (organisation_id, administration_id, external_id, partition, raw, content_hash,
  first_seen,
  last_changed, entry, line_number, account, debit, credit)
SELECT %(firm)s, %(one)s, 'GL ' || lpad((n / 4)::text, 6, '0') || ' ' || n %% 4,
  '2026' || lpad((n %% 12 + 1)::text, 2, '0'),
  decode(repeat(md5(n::text), 12), 'hex'), sha256(n::text::bytea), now(), now(),
  'GL ' || lpad((n / 4)::text, 6, '0'), n %% 4, (1000 + n %% 150)::text, n %% 1000, 0
  FROM generate_series(0, %(lines)s - 1) AS n
"""
QUESTIONS = {
    "the hashes of a page": "SELECT external_id, content_hash FROM books_entry_line "
    "WHERE administration_id = %(one)s"
    " AND external_id = ANY(ARRAY(SELECT 'GL ' || lpad(n::text, 6, '0') || ' 1' FROM generate_series(1000, "
    "1999) n))",
    "the lines of an entry": "SELECT * FROM books_entry_line WHERE administration_id = %(one)s "
    "AND entry = 'GL 001234'",
    "the card of an account": "SELECT external_id, debit, credit FROM books_entry_line"
    " WHERE administration_id = %(one)s AND account = '1075' AND deleted_at IS NULL",
}


def run() -> list[dict[str, Any]]:
    with in_database() as addresses:
        with psycopg.connect(addresses.superuser_url, autocommit=True) as superuser:
            # Rows without their parents: only the lines are measured.
            superuser.execute("DROP TRIGGER inserted ON books_entry_line")
        with psycopg.connect(addresses.app_url) as connection:
            seconds = [_add(connection, addresses.superuser_url, million) for million in range(MILLIONS)]
            plans = [_plan(connection, question) for question in QUESTIONS.values()]
            answers = {
                name: (_ask(connection, text, 0), _ask(connection, text, MILLIONS - 1))
                for name, text in QUESTIONS.items()
            }
        return list(_figures(seconds, plans, answers, _size(addresses.superuser_url)))


def _add(connection: psycopg.Connection[Any], superuser_url: str, million: int) -> float:
    began = time.perf_counter()
    for number in range(ADMINISTRATIONS_EACH):
        with connection.transaction():
            connection.execute(*set_scope_sql(FIRM))
            connection.execute(
                _FILL, {"firm": FIRM, "one": million * ADMINISTRATIONS_EACH + number + 1, "lines": LINES_EACH}
            )
    seconds = time.perf_counter() - began
    with psycopg.connect(superuser_url, autocommit=True) as superuser:
        superuser.execute("VACUUM ANALYZE books_entry_line")
    sys.stderr.write(f"million {million + 1}: {seconds:.1f} s\n")
    return seconds


def _plan(connection: psycopg.Connection[Any], question: str) -> str:
    with connection.transaction():
        connection.execute(*set_scope_sql(FIRM))
        rows = connection.execute(b"EXPLAIN (COSTS OFF) " + question.encode(), {"one": 7}).fetchall()
    plan = "\n".join(row[0] for row in rows)
    sys.stderr.write(plan + "\n\n")
    return plan


def _ask(connection: psycopg.Connection[Any], question: str, million: int) -> float:
    """Return the median in ms over the administrations of one million."""
    times = []
    for number in range(ADMINISTRATIONS_EACH):
        with connection.transaction():
            connection.execute(*set_scope_sql(FIRM))
            began = time.perf_counter()
            connection.execute(
                question.encode(), {"one": million * ADMINISTRATIONS_EACH + number + 1}
            ).fetchall()
            times.append((time.perf_counter() - began) * 1000)
    return statistics.median(times)


def _size(superuser_url: str) -> float:
    """Return the bytes of indexes per line."""
    with psycopg.connect(superuser_url) as superuser:
        row = superuser.execute(
            "SELECT sum(pg_indexes_size(relid)) FROM pg_partition_tree('books_entry_line') WHERE isleaf"
        ).fetchone()
    return float(row[0]) / (MILLIONS * 1_000_000) if row else 0.0


def _figures(
    seconds: list[float], plans: list[str], answers: dict[str, tuple[float, float]], bytes_each: float
) -> Any:
    scans = [plan for plan in plans if "Seq Scan" in plan or plan.count("books_entry_line_") > 3]
    yield {"name": "to add the first million lines", "value": round(seconds[0], 1), "unit": "s"}
    yield {"name": f"to add million {MILLIONS}", "value": round(seconds[-1], 1), "unit": "s"}
    growth = seconds[-1] / seconds[0]
    yield _at_most("the last million, as a multiple of the first", round(growth, 2), "times", GROWTH_MAX)
    yield {"name": "indexes per line", "value": round(bytes_each), "unit": "bytes"}
    yield _at_most("questions whose plan scans a table or more than one partition", len(scans), "plans", 0)
    for name, (first, last) in answers.items():
        yield {"name": f"{name}, median with {MILLIONS} million", "value": round(last, 2), "unit": "ms"}
        yield _at_most(
            f"{name}, newest million as a multiple of the oldest", round(last / first, 2), "times", GROWTH_MAX
        )


def _at_most(name: str, value: float, unit: str, to_reach: float) -> dict[str, Any]:
    return {"name": name, "value": value, "unit": unit, "to_reach": to_reach, "holds": value <= to_reach}
