"""What the person at the shell has to put right."""


class Refusal(Exception):
    """A command cannot do what was asked. The text is one sentence: what is wrong and what to do."""

    exit_code = 2


class NotWell(Refusal):
    """What the command looked at is not as it should be, however it is asked."""

    exit_code = 1
