"""Errors of commands, shown to the person at the shell."""

from collections.abc import Iterator
from contextlib import contextmanager

from pydantic import ValidationError as InputError

from koppel.kit.errors import KoppelError, sentence_of


class CommandError(KoppelError):
    """A command cannot do what was asked. The message is one sentence: what is wrong and what to do."""

    exit_code = 2


class CheckFailed(CommandError):
    """The command found something that is not as it should be."""

    exit_code = 1


@contextmanager
def user_errors() -> Iterator[None]:
    """Turn what a service refuses into a `CommandError`: exit code 2 and its sentence, never a traceback.

    The first line of the error's docstring serves when it carries no sentence."""
    try:
        yield
    except CommandError:
        raise
    except InputError as error:
        details = error.errors()
        raise CommandError(
            " ".join(f"{'.'.join(map(str, part['loc']))}: {sentence_of(part)}" for part in details)
        ) from None
    except KoppelError as error:
        raise CommandError(error.message or (type(error).__doc__ or "").partition("\n")[0]) from None
