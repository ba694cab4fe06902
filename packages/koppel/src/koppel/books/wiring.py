"""Registers the books' tab and card on an administration's pages.

Imported once, by `AppConfig.ready`.
"""

from typing import Any

from django.apps import apps
from django.db import connections, transaction
from django.db.models.signals import post_migrate, pre_migrate
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from koppel.administrations.hooks import Card, Tab, cards, erase_data, export_url, tabs
from koppel.audit.hooks import audit_actions
from koppel.books.audit_actions import AUDIT_ACTIONS
from koppel.books.read.labels import RESOURCES
from koppel.books.sql_access.views import create_views, drop_views
from koppel.books.storage.erasure import erase_books
from koppel.kit.database.sql_files import load_statements
from koppel.organisations.hooks import resource_labels


def _drop_views(*, using: str, plan: list[Any], **_: Any) -> None:
    if plan:
        with connections[using].cursor() as cursor:
            drop_views(cursor)


def _make_views(*, using: str, **_: Any) -> None:
    with transaction.atomic(using=using), connections[using].cursor() as cursor:
        cursor.execute(load_statements("koppel.books")["has_reader_table"])
        if cursor.fetchone()[0]:
            create_views(cursor)


def _export_url(administration_id: int) -> str:
    return reverse("books:export", args=[administration_id])


pre_migrate.connect(_drop_views, sender=apps.get_app_config("books"), dispatch_uid="koppel.books.views")
post_migrate.connect(_make_views, sender=apps.get_app_config("books"), dispatch_uid="koppel.books.views")
for action in AUDIT_ACTIONS:
    audit_actions.register(action.value, action)
erase_data.register(erase_books)
resource_labels.register_all(RESOURCES)
tabs.register("books", Tab(label=_("Books"), url_name="books:overview", order=20))
cards.register("result", Card("books:chart", 20))
export_url.register(_export_url)
