"""How often a register may be called: one count in PostgreSQL for all workers."""

from koppel.company_registers.protocol import Budget
from koppel.kit.database import Connection

_TAKE = """
INSERT INTO registers_call_budget AS b (source, window_began, calls) VALUES (%(source)s, clock_timestamp(), 1)
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
  FROM registers_call_budget WHERE source = %(source)s
"""
_PAUSE = """
INSERT INTO registers_call_budget AS b (source, window_began, calls, paused_until)
VALUES (%(source)s, clock_timestamp(), 0, clock_timestamp() + %(seconds)s * interval '1 second')
ON CONFLICT (source) DO UPDATE SET paused_until = GREATEST(b.paused_until, excluded.paused_until)
"""


async def take(connection: Connection, source: str, budget: Budget) -> float:
    """Count one call. 0.0 when it may be made now, else how many seconds to wait before asking again."""
    facts = {"source": source, "window": budget.seconds, "calls": budget.calls}
    if await (await connection.execute(_TAKE, facts)).fetchone():
        return 0.0
    row = await (await connection.execute(_WAIT, facts)).fetchone()
    return float(row[0]) if row else 0.05


async def pause(connection: Connection, source: str, seconds: float) -> None:
    """The register asks for peace, or is down: nobody calls it for so long."""
    await connection.execute(_PAUSE, {"source": source, "seconds": seconds})
