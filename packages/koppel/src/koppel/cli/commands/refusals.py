"""How a command ends that was refused or broken off: the one handler of commands."""

import sys
from typing import NoReturn

import psycopg
from django.db import DatabaseError, InterfaceError
from pydantic import ValidationError as InputError

from koppel.kit.cli.errors import CheckFailed, CommandError
from koppel.kit.database.embedded_postgres import EmbeddedPostgresError
from koppel.kit.database.outage import is_outage, sqlstate_of
from koppel.kit.errors import KoppelError, refusal_text

BROKEN_OFF = "The database broke this command off ({state}); its last step was not stored. Try again."


def exit_after(failure: Exception) -> NoReturn:
    """End the process with a sentence on stderr and an exit code; raise a fault of Koppel again."""
    try:
        raise failure
    except CommandError as refusal:
        exit_with_message(refusal_text(refusal), refusal.exit_code)
    except (KoppelError, InputError) as refusal:
        exit_with_message(refusal_text(refusal), CommandError.exit_code)
    except EmbeddedPostgresError as reason:
        exit_with_message(str(reason), CommandError.exit_code)
    except (DatabaseError, InterfaceError, psycopg.Error) as reason:
        if not is_outage(reason):
            raise
        state = sqlstate_of(reason) or "no connection"
        exit_with_message(BROKEN_OFF.format(state=state), CheckFailed.exit_code)


def exit_with_message(message: str, exit_code: int) -> NoReturn:
    sys.stderr.write(f"{message}\n")
    sys.exit(exit_code)
