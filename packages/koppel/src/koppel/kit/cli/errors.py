"""Errors of commands, shown in the terminal."""

from koppel.kit.errors import KoppelError


class CommandError(KoppelError):
    """A command failed. The message is one sentence: what is wrong and what to do."""

    exit_code = 2


class CheckFailed(CommandError):
    """The command found a problem."""

    exit_code = 1
