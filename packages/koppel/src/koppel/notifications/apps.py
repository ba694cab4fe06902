from django.apps import AppConfig


class NotificationsConfig(AppConfig):
    """Events, notifications, emails and webhooks."""

    name = "koppel.notifications"
    label = "notifications"

    def ready(self) -> None:
        from koppel.notifications import wiring  # noqa: F401, PLC0415 - models must be loaded first
