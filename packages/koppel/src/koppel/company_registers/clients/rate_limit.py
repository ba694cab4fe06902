"""How often a register may be called: one count in PostgreSQL for all workers."""

from koppel.company_registers.clients.protocol import RateLimit
from koppel.kit.database.pool import Connection

_ACQUIRE = """
INSERT INTO company_registers_rate_limit AS b (source, window_began, calls) VALUES (%(source)s, clock_timestamp(), 1)
ON CONFLICT (source) DO UPDATE SET
  calls = CASE WHEN b.window_began <= clock_timestamp() - %(window)s * interval '1 second' THEN 1 ELSE b.calls + 1 END,
  window_began = CASE WHEN b.window_began <= clock_timestamp() - %(window)s * interval '1 second'
                      THEN clock_timestamp() ELSE b.window_began END
WHERE (b.paused_until IS NULL OR b.paused_until <= clock_timestamp())
  AND (b.calls < %(calls)s OR b.window_began <= clock_timestamp() - %(window)s * interval '1 second')
RETURNING calls
"""
_WAIT = """
SELECT GREATEST(
  EXTRACT(epoch FROM window_began + %(window)s * interval '1 second' - clock_timestamp()),
  EXTRACT(epoch FROM paused_until - clock_timestamp()), 0.05)::float
  FROM company_registers_rate_limit WHERE source = %(source)s
"""
_BACK_OFF = """
INSERT INTO company_registers_rate_limit AS b (source, window_began, calls, paused_until)
VALUES (%(source)s, clock_timestamp(), 0, clock_timestamp() + %(seconds)s * interval '1 second')
ON CONFLICT (source) DO UPDATE SET paused_until = GREATEST(b.paused_until, excluded.paused_until)
"""


async def acquire(connection: Connection, source: str, limit: RateLimit) -> float:
    """Count one call. 0.0 when it may be made now, else how many seconds to wait before asking again."""
    params = {"source": source, "window": limit.seconds, "calls": limit.calls}
    if await (await connection.execute(_ACQUIRE, params)).fetchone():
        return 0.0
    row = await (await connection.execute(_WAIT, params)).fetchone()
    return float(row[0]) if row else 0.05


async def back_off(connection: Connection, source: str, seconds: float) -> None:
    """The register asks for peace, or is down: nobody calls it for so long."""
    await connection.execute(_BACK_OFF, {"source": source, "seconds": seconds})
