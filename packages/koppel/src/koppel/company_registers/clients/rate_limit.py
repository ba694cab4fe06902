"""The rate limit of a register: one count in PostgreSQL for all workers."""

from koppel.company_registers.clients.protocol import RegisterQuota
from koppel.kit.database.pool import DatabaseConnection

_ACQUIRE = """
INSERT INTO company_registers_rate_limit AS b (source, window_started_at, call_count) VALUES (%(source)s,
  clock_timestamp(), 1)
ON CONFLICT (source) DO UPDATE SET
  call_count = CASE WHEN b.window_started_at <= clock_timestamp() - %(window)s * interval '1 second'
               THEN 1 ELSE b.call_count + 1 END,
  window_started_at = CASE WHEN b.window_started_at <= clock_timestamp() - %(window)s * interval '1 second'
                      THEN clock_timestamp() ELSE b.window_started_at END
WHERE (b.backoff_until IS NULL OR b.backoff_until <= clock_timestamp())
  AND (b.call_count < %(calls)s
    OR b.window_started_at <= clock_timestamp() - %(window)s * interval '1 second')
RETURNING call_count
"""
_WAIT = """
SELECT GREATEST(
  EXTRACT(epoch FROM window_started_at + %(window)s * interval '1 second' - clock_timestamp()),
  EXTRACT(epoch FROM backoff_until - clock_timestamp()), 0.05)::float
  FROM company_registers_rate_limit WHERE source = %(source)s
"""
_BACK_OFF = """
INSERT INTO company_registers_rate_limit AS b (source, window_started_at, call_count, backoff_until)
VALUES (%(source)s, clock_timestamp(), 0, clock_timestamp() + %(seconds)s * interval '1 second')
ON CONFLICT (source) DO UPDATE SET backoff_until = GREATEST(b.backoff_until, excluded.backoff_until)
"""


async def acquire(database_connection: DatabaseConnection, source: str, limit: RegisterQuota) -> float:
    """Count one call. Returns 0.0 when the call may be made now, else the seconds to wait."""
    params = {"source": source, "window": limit.seconds, "calls": limit.calls}
    if await (await database_connection.execute(_ACQUIRE, params)).fetchone():
        return 0.0
    row = await (await database_connection.execute(_WAIT, params)).fetchone()
    return float(row[0]) if row else 0.05


async def back_off(database_connection: DatabaseConnection, source: str, seconds: float) -> None:
    """Pause calls of the register by all workers: it requested a pause, or is down."""
    await database_connection.execute(_BACK_OFF, {"source": source, "seconds": seconds})
