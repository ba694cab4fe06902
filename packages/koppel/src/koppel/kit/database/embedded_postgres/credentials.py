"""Files beside the data: a private file with passwords and port, and the lock of the owning process."""

import fcntl
import json
import os
import random
import secrets
import socket
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from urllib.parse import quote

from koppel.kit.database.embedded_postgres.errors import DataDirectoryInUse, EmbeddedPostgresError

LOOPBACK = "127.0.0.1"
DATABASE = "koppel"
SUPERUSER, OWNER, APPLICATION = "postgres", "koppel_owner", "koppel_app"
DATABASE_PORTS, PROGRAM_PORTS = range(15432, 20432), range(20432, 25432)
"""Below the range of ephemeral ports, so that no outgoing connection takes the port. Databases and programs
have separate ranges: a port that was chosen but is not in use yet must not be chosen again.
"""


@dataclass(frozen=True)
class Addresses:
    """`postgresql://` URLs of one database for its three roles. They contain passwords: never print them."""

    app_url: str = field(repr=False)
    owner_url: str = field(repr=False)
    superuser_url: str = field(repr=False)


@dataclass(frozen=True)
class ServerCredentials:
    """Port and passwords of one embedded server."""

    port: int
    superuser_password: str = field(repr=False)
    owner_password: str = field(repr=False)
    app_password: str = field(repr=False)

    @classmethod
    def generate(cls, port: int) -> "ServerCredentials":
        return cls(port, *(secrets.token_urlsafe(24) for _ in range(3)))

    @classmethod
    def read(cls, path: Path) -> "ServerCredentials | None":
        """Read the file; None when it does not exist.

        Raises `EmbeddedPostgresError` when it cannot be used.
        """
        try:
            return cls(**json.loads(path.read_text()))
        except FileNotFoundError:
            return None
        except (ValueError, TypeError, OSError) as error:
            raise EmbeddedPostgresError(
                f"{path} holds the embedded database's passwords and cannot be read ({error});"
                " restore it from the backup of the data directory."
            ) from error

    def write(self, path: Path) -> None:
        write_private(path, json.dumps(asdict(self), indent=1))

    def with_port(self, port: int) -> "ServerCredentials":
        return replace(self, port=port)

    @property
    def addresses(self) -> Addresses:
        return Addresses(
            app_url=self._url(APPLICATION, self.app_password, DATABASE),
            owner_url=self._url(OWNER, self.owner_password, DATABASE),
            superuser_url=self._url(SUPERUSER, self.superuser_password, DATABASE),
        )

    @property
    def maintenance_url(self) -> str:
        """The superuser's URL of the maintenance database, which always exists."""
        return self._url(SUPERUSER, self.superuser_password, "postgres")

    def _url(self, role: str, password: str, database: str) -> str:
        return f"postgresql://{role}:{quote(password)}@{LOOPBACK}:{self.port}/{database}"


class DirectoryLock:
    """A lock on the data directory. The kernel releases it when the owning process dies."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._descriptor: int | None = None

    def acquire(self) -> None:
        """Lock the data directory. Raises `DataDirectoryInUse`."""
        if self._descriptor is not None:
            return
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            holder = os.read(descriptor, 20).decode(errors="replace").strip()
            os.close(descriptor)
            raise DataDirectoryInUse(
                f"The data directory {self._directory} is in use by another Koppel (process "
                f"{holder or 'unknown'});"
                " stop that one, or choose another with --data-dir or KOPPEL_DATA_DIR.",
                holder or "unknown",
            ) from None
        os.truncate(descriptor, 0)
        os.write(descriptor, str(os.getpid()).encode())
        self._descriptor = descriptor

    def release(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    @property
    def _path(self) -> Path:
        return self._directory / "lock"


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read, atomically."""
    fresh = path.with_name(f"{path.name}.{os.getpid()}.new")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)


def is_free(port: int) -> bool:
    """Return whether a server could listen on this port of the loopback address."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def choose_free_port(ports: range = PROGRAM_PORTS) -> int:
    """Return a free port, a different one each time.

    Raises `EmbeddedPostgresError` after a hundred attempts.
    """
    for port in random.sample(ports, min(100, len(ports))):
        if port not in _chosen and is_free(port):
            _chosen.add(port)
            return port
    raise EmbeddedPostgresError("No free port was found on the loopback address for the embedded database.")


_chosen: set[int] = set()
