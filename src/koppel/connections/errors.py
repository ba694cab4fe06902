"""What the connections slice refuses."""


class ConsentRefused(Exception):
    """A sign-in that led nowhere. `code` is a stable word, the text a sentence for the person."""

    is_refusal = True

    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code


class NoSuchConnection(Exception):
    """No such connection, or not one that the actor may use: the two look alike from outside."""

    is_refusal = True
