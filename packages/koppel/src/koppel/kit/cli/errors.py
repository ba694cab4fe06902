"""Errors of commands, shown in the terminal."""

from koppel.kit.errors import KoppelError


class CommandError(KoppelError):
    """A command that cannot be carried out. The message is one sentence: the problem and its remedy."""

    exit_code = 2


class CheckFailed(CommandError):
    """The command found a problem."""

    exit_code = 1
