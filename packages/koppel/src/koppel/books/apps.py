from django.apps import AppConfig


class BooksConfig(AppConfig):
    """Adds the books to the pages of an administration."""

    name = "koppel.books"
    label = "books"

    def ready(self) -> None:
        from koppel.books import wiring  # noqa: F401, PLC0415 - models must be loaded first
