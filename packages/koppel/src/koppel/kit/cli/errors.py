"""What the person at the shell has to put right."""

from collections.abc import Iterator
from contextlib import contextmanager


class CommandError(Exception):
    """A command cannot do what was asked. The text is one sentence: what is wrong and what to do."""

    exit_code = 2


class CheckFailed(CommandError):
    """What the command looked at is not as it should be, however it is asked."""

    exit_code = 1


@contextmanager
def user_errors() -> Iterator[None]:
    """Turns what a service refuses into a `CommandError`: exit code 2 and its sentence, never a traceback.

    Such an exception says so with the attribute `is_refusal`; its class docstring serves when it carries no sentence."""
    try:
        yield
    except Exception as refusal:
        if not getattr(refusal, "is_refusal", False):
            raise
        message = str(refusal) or (type(refusal).__doc__ or "").partition("\n")[0]
        raise CommandError(message) from None
