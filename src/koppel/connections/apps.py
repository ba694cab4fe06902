from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class ConnectionsConfig(AppConfig):
    """Tells issues and notices the words of connections."""

    name = "koppel.connections"
    label = "connections"

    def ready(self) -> None:
        from koppel.issues import catalogue as issues  # noqa: PLC0415 - after models
        from koppel.notifications import catalogue as notices  # noqa: PLC0415 - after models

        issues.register(
            "consent_lost",
            issues.Entry(
                _("The connection of %(account)s needs you to sign in again: %(reason)s"),
                _("Its administrations wait. Nothing is lost: after signing in they go on where they stopped."),
                _("Sign in again"),
                lambda connection_id, _facts: f"/connections/{connection_id}/",
            ),
        )
        notices.register("connection_lost", _("The connection of %(account)s needs you to sign in again: %(reason)s"))
