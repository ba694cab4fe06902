from django.apps import AppConfig


class NotificationsConfig(AppConfig):
    """Tells of sign-ins and of new issues."""

    name = "koppel.notifications"
    label = "notifications"

    def ready(self) -> None:
        from koppel.notifications import new_issues, sign_ins  # noqa: PLC0415 - after models

        new_issues.register()
        sign_ins.register()
