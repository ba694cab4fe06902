"""The commands to type next when Koppel runs for the first time."""

import shlex
import shutil
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import urlsplit

from koppel.cli.environment import DATA_DIRECTORY
from koppel.cli.ports import LOOPBACK, THIS_MACHINE

CREATE_ORGANISATION = 'organisations create --name "Your firm" --email you@firm.example'
PRINT_LINK = "people recovery-link you@firm.example"


def describe_first_steps(
    installation_state: str, environment: Mapping[str, str], host: str = LOOPBACK
) -> Iterator[str]:
    """Return the lines to print. `installation_state` is that of `organisations.bootstrap`; `environment` is
    that of the programs, and `host` their address.
    """
    home = environment["KOPPEL_DATA_DIR"]
    if installation_state == "empty":
        yield (
            "\nNo user can sign in yet. In another shell, create your organisation and open the link that is "
            "printed:"
        )
        yield f"\n  {shell_command(CREATE_ORGANISATION, home)}\n"
    elif installation_state == "waiting":
        yield (
            "\nNo user can sign in yet: the invited Administrator has to open the link. "
            "A new one is printed by"
        )
        yield f"\n  {shell_command(PRINT_LINK, home)}\n"
    if host != LOOPBACK and urlsplit(environment.get("KOPPEL_PUBLIC_URL", "")).hostname in THIS_MACHINE:
        yield (
            "Other machines are let in only under the address in KOPPEL_PUBLIC_URL: "
            "set it to what people type."
        )
    if environment.get("KOPPEL_MAIL_DIR"):
        yield (
            f"KOPPEL_SMTP_URL is not set: no mail is sent, "
            f"it is written to files in {environment['KOPPEL_MAIL_DIR']}."
        )


def shell_command(arguments: str, data_dir: str) -> str:
    """Return the command line to type in another shell: with the data directory unless it is the default one,
    and with the program's path unless it is on PATH.
    """
    is_default = Path(data_dir) == DATA_DIRECTORY.absolute()
    setting = "" if is_default else f"KOPPEL_DATA_DIR={shlex.quote(data_dir)} "
    return f"{setting}{program_path()} {arguments}"


def program_path() -> str:
    return "koppel" if shutil.which("koppel") else str(Path(sys.executable).with_name("koppel"))
