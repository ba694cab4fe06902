"""An embedded PostgreSQL server for installations without their own.

It is a private server on the loopback address, owned by the process that started it.
"""

from koppel.kit.database.embedded_postgres.binaries import (
    PUBLISHED,
    find_binaries,
    program_directories,
)
from koppel.kit.database.embedded_postgres.credentials import (
    Addresses,
    DirectoryLock,
    choose_free_port,
    is_free,
    write_private,
)
from koppel.kit.database.embedded_postgres.database_roles import scram_verifier
from koppel.kit.database.embedded_postgres.errors import (
    BinariesMissing,
    DataDirectoryInUse,
    EmbeddedPostgresError,
    NoUnprivilegedUser,
    OtherMajorVersion,
    StartFailed,
)
from koppel.kit.database.embedded_postgres.failure_reason import failure_reason
from koppel.kit.database.embedded_postgres.os_user import death_signal_prefix
from koppel.kit.database.embedded_postgres.reader_processes import READER_PREFIX
from koppel.kit.database.embedded_postgres.server import EmbeddedPostgres, running_addresses
from koppel.kit.database.embedded_postgres.superuser import administrator_url

__all__ = [
    "PUBLISHED",
    "READER_PREFIX",
    "Addresses",
    "BinariesMissing",
    "DataDirectoryInUse",
    "DirectoryLock",
    "EmbeddedPostgres",
    "EmbeddedPostgresError",
    "NoUnprivilegedUser",
    "OtherMajorVersion",
    "StartFailed",
    "administrator_url",
    "choose_free_port",
    "death_signal_prefix",
    "failure_reason",
    "find_binaries",
    "is_free",
    "program_directories",
    "running_addresses",
    "scram_verifier",
    "write_private",
]
