"""Errors of commands, shown to the person at the shell."""

from koppel.kit.errors import KoppelError


class CommandError(KoppelError):
    """A command that cannot be carried out. The message is one sentence: the problem and its remedy."""

    exit_code = 2


class CheckFailed(CommandError):
    """The command found something that is not as it should be."""

    exit_code = 1
