"""Errors of commands, shown to the person at the shell."""

from collections.abc import Iterator
from contextlib import contextmanager


class CommandError(Exception):
    """A command cannot do what was requested. The text is one sentence: what is wrong and what to do."""

    exit_code = 2


class CheckFailed(CommandError):
    """The command found something that is not as it should be."""

    exit_code = 1


@contextmanager
def user_errors() -> Iterator[None]:
    """Turn a refusal of a service into a `CommandError`: exit code 2 and a sentence, never a traceback.

    A refusal is an exception with the attribute `is_refusal`. Its class docstring is shown when it carries no
    text.
    """
    try:
        yield
    except Exception as refusal:
        if not getattr(refusal, "is_refusal", False):
            raise
        message = str(refusal) or (type(refusal).__doc__ or "").partition("\n")[0]
        raise CommandError(message) from None
