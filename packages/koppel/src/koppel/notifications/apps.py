from django.apps import AppConfig


class NotificationsConfig(AppConfig):
    """Tells of sign-ins, of memberships, of new issues and of webhooks that were switched off."""

    name = "koppel.notifications"
    label = "notifications"

    def ready(self) -> None:
        from koppel.notifications import wiring  # noqa: F401, PLC0415 - models must be loaded first
