"""Registers the wizard's URLs at connections. Imported once, by `AppConfig.ready`."""

from django.urls import reverse

from koppel.connections import hooks as connection_hooks


def _new_connection_url() -> str:
    return reverse("onboarding:new")


def _import_url(connection_id: int | None) -> str:
    url = reverse("onboarding:import")
    return f"{url}?connection={connection_id}" if connection_id else url


connection_hooks.new_connection_url.register(_new_connection_url)
connection_hooks.import_url.register(_import_url)
