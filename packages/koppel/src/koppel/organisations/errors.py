"""What the organisation app refuses."""


class NotAllowed(Exception):
    """The actor's role lacks the permission. Shown as "you may not", never as a failure."""

    is_refusal = True

    def __init__(self, permission: str) -> None:
        super().__init__(f"Your role does not allow this ({permission}).")
        self.permission = permission


class Refused(Exception):
    """A request that the rules forbid, with a translated sentence for the person."""

    is_refusal = True
