"""docs/operations.md on a bare Debian, block by block: what needs root, systemd and a proxy."""

import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.test_proxies import SERVER, self_signed
from tests.fixtures.booted_debian import HOME_OF_ROOT, BootedDebian, make_debian
from tests.fixtures.environment import REPOSITORY
from tests.fixtures.manual import Block, blocks
from tests.fixtures.requirements import HALF_AN_HOUR, skip_without
from tests.fixtures.stack import wait_until

pytestmark = [pytest.mark.drill, pytest.mark.timeout(3600)]

SOURCE = "/repository"
INSTALLS = ("apt-get install", "git clone")
"""What needs the network, which the booted machine has not."""
SECRET = "a-password-of-the-test"
OWN_POSTGRESQL = f"""
DATABASE_URL='postgresql://koppel_app:{SECRET}@127.0.0.1/koppel'
KOPPEL_OWNER_DATABASE_URL='postgresql://koppel_owner:{SECRET}@127.0.0.1/koppel'
KOPPEL_BACKUP_DATABASE_URL='postgresql://koppel_backup:{SECRET}@127.0.0.1/koppel'
"""
CREATE = 'koppel organisations create --name "Kantoor Zuid" --email bram@zuid.example --language nl'
EXPECTED_PROBLEMS = {"mail", "organisations"}
"""What `koppel check` rightly reports here: no mail server answers, and nobody has signed in yet."""
ASK = """
import sys, urllib.request, urllib.error
class Stay(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_): return None
try:
    answer = urllib.request.build_opener(Stay).open(sys.argv[1], timeout=20)
except urllib.error.HTTPError as error:
    answer = error
print(answer.status, answer.headers.get("Location"), answer.headers.get("Strict-Transport-Security"))
"""


class Administrator:
    """Root of the machine, with the page open."""

    def __init__(self, machine: BootedDebian, commit: str) -> None:
        self.machine = machine
        self._commit = commit
        self._before: dict[str, Callable[[], object]] = {
            "nginx -t": self._prepare_nginx,
            "caddy validate": self._replace_nginx_by_caddy,
            "koppel check": self._return_to_nginx,
            "tar -C / -xzf": self._forget_everything,
        }
        self._after: dict[str, Callable[[], object]] = {
            "systemctl reload nginx": self._reaches_koppel,
            "systemctl reload caddy": lambda: machine.run("systemctl is-active caddy"),
            "tar -C / -xzf": self._is_the_same_installation,
        }

    def follow(self, block: Block) -> None:
        """Run a block, or write the file that it is."""
        if block.is_file:
            self.machine.write(block.runner, block.text)
            return
        for words, prepare in self._before.items():
            if words in block.text:
                prepare()
        if "koppel sandbox" in block.text:
            self._start_sandbox(block.text)
        else:
            self._run(block)
        for words, confirm in self._after.items():
            if words in block.text:
                confirm()

    def _run(self, block: Block) -> None:
        text = block.text.replace("VERSION", self._commit)
        # A check that finds something ends with 1; which findings are right is compared below.
        script = re.sub(r"^(koppel check\b[^#\n]*)", r"{ \1 || true; } ", text, flags=re.MULTILINE)
        printed = self.machine.run(script)
        problems = set(re.findall(r"^✗ ([^:]+):", printed, re.MULTILINE))
        assert problems <= EXPECTED_PROBLEMS, f"line {block.line}: {printed}"

    def _start_sandbox(self, text: str) -> None:
        """It runs until it is stopped."""
        command = text.replace("koppel sandbox", "/usr/local/bin/koppel sandbox", 1)
        self.machine.run(f"systemd-run --quiet --unit=sandbox {command}")
        wait_until(lambda: self._answers("http://127.0.0.1:8410/"))
        self.machine.run("systemctl stop sandbox")

    def _answers(self, url: str) -> bool:
        done = subprocess.run(
            self.machine.command(f"python3 -c '{ASK}' {url}"), capture_output=True, check=False
        )
        return done.returncode == 0

    def _prepare_nginx(self) -> None:
        """A certificate that the machine trusts."""
        folder = f"/etc/letsencrypt/live/{SERVER}"
        self_signed(self.machine.root / folder.lstrip("/"))
        self.machine.run(
            f"cp {folder}/fullchain.pem /usr/local/share/ca-certificates/test.crt; update-ca-certificates"
        )

    def _reaches_koppel(self) -> None:
        plain = self.machine.run(f"python3 -c '{ASK}' http://{SERVER}/accounts/login/")
        assert plain.split()[:2] == ["308", f"https://{SERVER}/accounts/login/"]
        assert self.machine.run(f"python3 -c '{ASK}' https://{SERVER}/accounts/login/").startswith(
            "200 None max-age"
        )

    def _replace_nginx_by_caddy(self) -> None:
        self.machine.run("systemctl stop nginx; systemctl start caddy")

    def _return_to_nginx(self) -> None:
        self.machine.run("systemctl stop caddy; systemctl start nginx")

    def _forget_everything(self) -> None:
        """The new machine."""
        self.machine.run("rm -rf /var/lib/koppel /etc/koppel.env")

    def _is_the_same_installation(self) -> None:
        assert "Kantoor Noord" in self.machine.run("koppel organisations list")


def test_every_block_for_root_works_on_a_bare_debian(tmp_path: Path) -> None:
    if not os.environ.get("BOOT_DEBIAN"):
        skip_without(HALF_AN_HOUR)
    machine = make_debian(tmp_path)
    repository = tmp_path / "repository.git"
    git = ["git", "-c", "safe.directory=*"]
    subprocess.run([*git, "clone", "-q", "--bare", str(REPOSITORY), str(repository)], check=True)
    commit = subprocess.run(
        [*git, "rev-parse", "HEAD"], cwd=REPOSITORY, check=True, capture_output=True, text=True
    ).stdout.strip()
    page = [block for block in blocks() if block.is_file or block.runner == "root"]
    _install(machine, page, repository)
    machine.write("/etc/hosts", f"127.0.0.1 localhost {SERVER} mail.noord.example\n")
    machine.write(f"{HOME_OF_ROOT}/numbers.csv", "number\n")
    self_signed(machine.root / "root", "ca.noord.example")
    (machine.root / "root/fullchain.pem").rename(machine.root / "root/noord-ca.crt")
    with machine.booted({str(repository): SOURCE}):
        administrator = Administrator(machine, commit)
        for block in page:
            if not any(words in block.text for words in INSTALLS):
                administrator.follow(block)
        _follow_with_an_own_postgresql(machine)


def _follow_with_an_own_postgresql(machine: BootedDebian) -> None:
    """The blocks about a PostgreSQL of your own, from its roles to a restored database, in their order."""
    roles, superuser_script, backup_role, restore = [
        block.text.replace("SECRET", SECRET).replace("…", SECRET).replace("HOST", "127.0.0.1")
        for block in blocks()
        if block.runner == "postgresql"
    ]
    machine.run("systemctl stop koppel; mv /var/lib/koppel /var/lib/koppel-embedded")
    machine.run("install -d -o koppel -g koppel -m 750 /var/lib/koppel")
    machine.run(f"""runuser -u postgres -- psql -c "ALTER ROLE postgres PASSWORD '{SECRET}'" """)
    _as_superuser(machine, roles, "postgres")
    settings = machine.root / "etc/koppel.env"
    settings.write_text(settings.read_text() + OWN_POSTGRESQL)
    machine.run("koppel migrate")
    machine.run(superuser_script)
    _as_superuser(machine, backup_role, "koppel")
    machine.run(f"systemctl start koppel; {CREATE}; koppel backup; systemctl stop koppel")
    settings.write_text(settings.read_text().replace("/koppel'", "/koppel_restored'"))
    backup = machine.run("ls -d /var/lib/koppel/backups/koppel-*").split()[-1]
    machine.run(restore.replace("BACKUP", backup))
    assert "Kantoor Zuid" in machine.run("koppel organisations list")
    assert "copy" in machine.run("koppel quarantine off 2>&1 || true")


def _as_superuser(machine: BootedDebian, statements: str, database: str) -> None:
    machine.write("/srv/statements.sql", statements)
    machine.run(
        f"chmod 644 /srv/statements.sql; cd /; runuser -u postgres -- psql -v ON_ERROR_STOP=1 -d {database}"
        " -f /srv/statements.sql"
    )


def _install(machine: BootedDebian, page: list[Block], repository: Path) -> None:
    """Step 1 of the page, and the packages that it names in words; with the network."""
    first = next(block.text for block in page if "git clone" in block.text)
    machine.install("apt-get update -qq && apt-get install -qq nginx caddy procps postgresql >/dev/null")
    machine.install("systemctl disable -q caddy")
    machine.install(first.replace("ADDRESS-OF-THE-REPOSITORY", SOURCE), binds={str(repository): SOURCE})
