from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class BooksConfig(AppConfig):
    """Puts the books on an administration's page."""

    name = "koppel.books"
    label = "books"

    def ready(self) -> None:
        from koppel.administrations.panels import Card, Tab, register_card, register_tab  # noqa: PLC0415 - after models

        register_tab(Tab("books", _("Books"), "books:overview", 20))
        register_card(Card("result", "books:chart", 20))
