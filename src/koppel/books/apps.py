from typing import Any

from django.apps import AppConfig
from django.db import connections, transaction
from django.db.models.signals import post_migrate, pre_migrate
from django.utils.translation import gettext_lazy as _


class BooksConfig(AppConfig):
    """Puts the books on an administration's page."""

    name = "koppel.books"
    label = "books"

    def ready(self) -> None:
        from koppel.administrations.life import register_eraser  # noqa: PLC0415 - after models
        from koppel.administrations.panels import Card, Tab, register_card, register_tab  # noqa: PLC0415 - after models
        from koppel.books.erasure import erase_books  # noqa: PLC0415 - after models
        from koppel.books.labels import RESOURCES  # noqa: PLC0415 - after models
        from koppel.organisations.bundles import register_resource_labels  # noqa: PLC0415 - after models

        pre_migrate.connect(_drop_views, sender=self, dispatch_uid="koppel.books.views")
        post_migrate.connect(_make_views, sender=self, dispatch_uid="koppel.books.views")
        register_eraser(erase_books)
        register_resource_labels(RESOURCES)
        register_tab(Tab("books", _("Books"), "books:overview", 20))
        register_card(Card("result", "books:chart", 20))


def _drop_views(*, using: str, plan: list[Any], **_: Any) -> None:
    from koppel.books.sql_views import drop_views  # noqa: PLC0415 - after models

    if plan:
        with connections[using].cursor() as cursor:
            drop_views(cursor)


def _make_views(*, using: str, **_: Any) -> None:
    from koppel.books.sql_views import make_views  # noqa: PLC0415 - after models

    with transaction.atomic(using=using), connections[using].cursor() as cursor:
        cursor.execute("SELECT to_regclass('koppel_readers.reader') IS NOT NULL")
        if cursor.fetchone()[0]:
            make_views(cursor)
