"""Errors of commands, shown in the terminal."""

from koppel.kit.errors import KoppelError


class CommandError(KoppelError):
    """A command failed. The message is one sentence: what is wrong and what to do."""

    exit_code = 2


class CheckFailed(CommandError):
    """The command found a problem."""

    exit_code = 1
<<<<<<< HEAD


def refusal_text(error: KoppelError | InputError) -> str:
    """Return the text to print for an error.

    If the error has no message, this is the first line of its docstring.
    """
    if isinstance(error, InputError):
        return " ".join(f"{'.'.join(map(str, part['loc']))}: {sentence_of(part)}" for part in error.errors())
    return error.message or (type(error).__doc__ or "").partition("\n")[0]
=======
>>>>>>> main
