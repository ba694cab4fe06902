from django.apps import AppConfig


class AdministrationsConfig(AppConfig):
    """Proves to connections what was imported, says what becomes of it without a connection, and registers its bulk acts."""

    name = "koppel.administrations"
    label = "administrations"

    def ready(self) -> None:
        from koppel.administrations import handover, identity, telling  # noqa: PLC0415 - after models
        from koppel.administrations.bulk import change, stars, switch  # noqa: F401, PLC0415 - after models
        from koppel.administrations.dependants import Administrations  # noqa: PLC0415 - after models
        from koppel.administrations.panels import Card, register_card  # noqa: PLC0415 - after models
        from koppel.administrations.proof import imported  # noqa: PLC0415 - after models
        from koppel.administrations.scope import companies_hidden_from  # noqa: PLC0415 - after models
        from koppel.administrations.standing import adopt, hold, release, settle, take_over  # noqa: PLC0415 - after models
        from koppel.connections.dependants import (  # noqa: PLC0415 - after models
            register_dependants,
            register_hidden,
            register_hold,
            register_release,
        )
        from koppel.connections.scope import register_proof  # noqa: PLC0415 - after models
        from koppel.connections.settling import register_take_over  # noqa: PLC0415 - after models
        from koppel.organisations.dependants import register_group_dependants  # noqa: PLC0415 - after models

        register_proof(imported)
        register_group_dependants(Administrations())
        telling.register()
        register_dependants(settle, adopt)
        register_hidden(companies_hidden_from)
        register_take_over(take_over)
        register_hold(hold)
        register_release(release)
        identity.register()
        register_card(Card("register", "administrations:register_card", 60))
        handover.register()
