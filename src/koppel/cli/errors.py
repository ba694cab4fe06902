"""What the person at the shell has to put right."""


class Refusal(Exception):
    """A command cannot do what was asked. The text is one sentence: what is wrong and what to do. Exit code 2."""
