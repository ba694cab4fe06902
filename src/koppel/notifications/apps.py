from django.apps import AppConfig


class NotificationsConfig(AppConfig):
    """Tells of sign-ins, of memberships, of new issues and of webhooks that were switched off."""

    name = "koppel.notifications"
    label = "notifications"

    def ready(self) -> None:
        from koppel.notifications import memberships, new_issues, sign_ins  # noqa: PLC0415 - after models
        from koppel.notifications.webhooks import merging, words  # noqa: PLC0415 - after models

        new_issues.register()
        sign_ins.register()
        memberships.register()
        words.register()
        merging.register()
