"""Puts the books on an administration's page.

Imported once, by `AppConfig.ready`."""

from typing import Any

from django.apps import apps
from django.db import connections, transaction
from django.db.models.signals import post_migrate, pre_migrate
from django.utils.translation import gettext_lazy as _

from koppel.administrations.hooks.extension_points import Card, Tab, register_card, register_tab
from koppel.administrations.lifecycle.lifecycle import register_erase_hook
from koppel.books.read.labels import RESOURCES
from koppel.books.sql_access.views import create_views, drop_views
from koppel.books.storage.erasure import erase_books
from koppel.organisations.settings_schema import register_resource_labels


def _drop_views(*, using: str, plan: list[Any], **_: Any) -> None:
    if plan:
        with connections[using].cursor() as cursor:
            drop_views(cursor)


def _make_views(*, using: str, **_: Any) -> None:
    with transaction.atomic(using=using), connections[using].cursor() as cursor:
        cursor.execute("SELECT to_regclass('koppel_readers.reader') IS NOT NULL")
        if cursor.fetchone()[0]:
            create_views(cursor)


pre_migrate.connect(_drop_views, sender=apps.get_app_config("books"), dispatch_uid="koppel.books.views")
post_migrate.connect(_make_views, sender=apps.get_app_config("books"), dispatch_uid="koppel.books.views")
register_erase_hook(erase_books)
register_resource_labels(RESOURCES)
register_tab(Tab("books", _("Books"), "books:overview", 20))
register_card(Card("result", "books:chart", 20))
