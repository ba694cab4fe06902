"""What the person at the shell has to put right."""

from collections.abc import Iterator
from contextlib import contextmanager

from koppel.kit.errors import KoppelError


class CommandError(KoppelError):
    """A command cannot do what was asked. The message is one sentence: what is wrong and what to do."""

    exit_code = 2


class CheckFailed(CommandError):
    """What the command looked at is not as it should be, however it is asked."""

    exit_code = 1


@contextmanager
def user_errors() -> Iterator[None]:
    """Turn what a service refuses into a `CommandError`: exit code 2 and its sentence, never a traceback.

    The first line of the error's docstring serves when it carries no sentence."""
    try:
        yield
    except CommandError:
        raise
    except KoppelError as error:
        raise CommandError(error.message or (type(error).__doc__ or "").partition("\n")[0]) from None
