"""Errors of commands, shown to the person at the shell."""

from koppel.kit.errors import KoppelError


class CommandError(KoppelError):
    """A command cannot do what was asked. The message is one sentence: what is wrong and what to do."""

    exit_code = 2


class CheckFailed(CommandError):
    """The command found something that is not as it should be."""

    exit_code = 1
