"""The operating system account of the server.

PostgreSQL refuses to run as root, and Koppel neither creates accounts nor changes the permissions of folders.
Without root, the server uses the current account. With root, it uses `nobody` if that account can access the
programs and the data directory; otherwise (a private folder) a user namespace, in which root appears as an
ordinary account and keeps access to its own files.
"""

import os
import pwd
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from koppel.kit.database.embedded_postgres.errors import NoUnprivilegedUser

UNPRIVILEGED = "nobody"
NAMESPACE_UID = 1000
"""The id that root has inside the namespace: any but 0. No account has it."""


_NAMESPACE = ("unshare", "--user", f"--map-user={NAMESPACE_UID}", "--")


@dataclass(frozen=True)
class OsUser:
    """The user of the operating system that runs PostgreSQL's programs."""

    owner_uid: int
    """The owner of their files."""
    user: str | None = None
    prefix: tuple[str, ...] = ()
    """Precedes their command line."""

    def popen(
        self, command: Sequence[str], *, dies_with_us: bool, output: IO[bytes]
    ) -> subprocess.Popen[bytes]:
        """Start a program in its own session, so that Ctrl-C in the terminal does not reach it."""
        death_signal = death_signal_prefix("INT") if dies_with_us else []
        return subprocess.Popen(
            [*self.prefix, *death_signal, *command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            **self._identity(),
        )

    def run(self, command: Sequence[str]) -> subprocess.CompletedProcess[str]:
        """Run a program to completion and capture its output."""
        return subprocess.run(
            [*self.prefix, *command],
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
            **self._identity(),
        )

    def chown(self, path: Path) -> None:
        """Make this account the owner of `path`."""
        if self.user is not None:
            record = pwd.getpwnam(self.user)
            os.chown(path, record.pw_uid, record.pw_gid)

    def _identity(self) -> dict[str, Any]:
        common: dict[str, Any] = {"cwd": "/", "env": _environment(), "umask": 0o077}
        if self.user is None:
            return common
        return {**common, "user": self.user, "group": pwd.getpwnam(self.user).pw_gid, "extra_groups": []}


def death_signal_prefix(signal_name: str) -> list[str]:
    """Return a command prefix that makes the kernel send the signal when the starting thread dies.

    Empty on systems without this feature.
    """
    setpriv = shutil.which("setpriv") if sys.platform == "linux" else None
    return [setpriv, "--pdeathsig", signal_name, "--"] if setpriv else []


def choose_os_user(cluster: Path, programs: Path) -> OsUser:
    """Return the account for this data.

    Existing data keeps the account that wrote it. Raises `NoUnprivilegedUser`.
    """
    written_by = cluster.stat().st_uid if cluster.exists() else None
    if os.geteuid() != 0:
        return _current_user(cluster, written_by)
    nobody = OsUser(owner_uid=pwd.getpwnam(UNPRIVILEGED).pw_uid, user=UNPRIVILEGED)
    namespace = OsUser(owner_uid=0, prefix=_NAMESPACE)
    if written_by in (None, nobody.owner_uid) and _can_use(nobody, programs, cluster.parent):
        return nobody
    if written_by in (None, 0) and _can_use(namespace, programs, cluster.parent):
        return namespace
    raise NoUnprivilegedUser(
        f"PostgreSQL does not run as root, and no unprivileged account can use both {programs} and "
        f"{cluster.parent};"
        " start Koppel as an ordinary user, or set DATABASE_URL to a running server."
    )


def make_folder(folder: Path) -> None:
    """Make a folder and its parents, for this account alone.

    Where the server must run as `nobody`, because there are no user namespaces, other accounts may pass
    through it; nothing in it can be listed or read by them.
    """
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    needs_passage = bool(missing) and os.geteuid() == 0 and not _has_namespaces()
    for path in missing:
        path.chmod(0o711 if needs_passage else 0o700)


def _has_namespaces() -> bool:
    try:
        return OsUser(owner_uid=0, prefix=_NAMESPACE).run(["true"]).returncode == 0
    except (OSError, subprocess.SubprocessError):
        return False


def _current_user(cluster: Path, written_by: int | None) -> OsUser:
    uid = os.geteuid()
    if written_by not in (None, uid):
        raise NoUnprivilegedUser(
            f"The database in {cluster} belongs to another account (uid {written_by});"
            " start Koppel as that account, or choose another data directory."
        )
    return OsUser(owner_uid=uid)


def _can_use(os_user: OsUser, programs: Path, data_directory: Path) -> bool:
    try:
        version = os_user.run([str(programs / "postgres"), "--version"])
        entered = os_user.run(["test", "-x", str(data_directory)])
    except (OSError, subprocess.SubprocessError):
        return False
    return version.returncode == 0 and entered.returncode == 0


def _environment() -> Mapping[str, str]:
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"}
