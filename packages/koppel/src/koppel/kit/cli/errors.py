"""Errors of commands, shown to the person at the shell."""

from pydantic import ValidationError as InputError

from koppel.kit.errors import KoppelError, sentence_of


class CommandError(KoppelError):
    """A command cannot do what was asked. The message is one sentence: what is wrong and what to do."""

    exit_code = 2


class CheckFailed(CommandError):
    """The command found something that is not as it should be."""

    exit_code = 1


def refusal_text(error: KoppelError | InputError) -> str:
    """Return what the person at the shell reads. The first line of an
    error's docstring serves when it has no message."""
    if isinstance(error, InputError):
        return " ".join(f"{'.'.join(map(str, part['loc']))}: {sentence_of(part)}" for part in error.errors())
    return error.message or (type(error).__doc__ or "").partition("\n")[0]
