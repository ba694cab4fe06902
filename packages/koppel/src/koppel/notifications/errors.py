"""What the notifications app refuses."""


class NoSuchWebhook(Exception):
    """No such webhook, or none of the actor's organisation."""

    is_refusal = True
