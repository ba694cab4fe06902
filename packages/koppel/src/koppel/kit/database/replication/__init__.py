"""Standbys of PostgreSQL: which hosts `DATABASE_URL` names, which commits wait for a standby, and how far
behind it is.
"""

from koppel.kit.database.replication.durability import Durability, durability_sql, wait_for_standby
from koppel.kit.database.replication.hosts import DatabaseHost, connection_limits, hosts_of

__all__ = [
    "DatabaseHost",
    "Durability",
    "connection_limits",
    "durability_sql",
    "hosts_of",
    "wait_for_standby",
]
