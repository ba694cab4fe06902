from django.apps import AppConfig


class AdministrationsConfig(AppConfig):
    """Proves to connections what was imported: without that proof no session reads books. Registers its bulk acts."""

    name = "koppel.administrations"
    label = "administrations"

    def ready(self) -> None:
        from koppel.administrations import telling  # noqa: PLC0415 - after models
        from koppel.administrations.bulk import change, stars, switch  # noqa: F401, PLC0415 - after models
        from koppel.administrations.proof import imported  # noqa: PLC0415 - after models
        from koppel.connections.scope import register_proof  # noqa: PLC0415 - after models

        register_proof(imported)
        telling.register()
