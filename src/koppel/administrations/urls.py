"""Addresses below `/administrations/`."""

from django.urls import path

from koppel.administrations.views import bulk, detail, identity, lifecycle, listing

app_name = "administrations"
urlpatterns = [
    path("", listing.listing, name="list"),
    path("rows/", listing.rows, name="rows"),
    path("export.<str:file_format>", listing.export, name="export"),
    path("views", listing.keep_view, name="views"),
    path("restricted/", listing.hidden, name="hidden"),
    path("restricted/<int:administration_id>", lifecycle.rescue, name="rescue"),
    path("bulk/", bulk.done_lately, name="bulk_list"),
    path("bulk/preview", bulk.preview, name="bulk_preview"),
    path("bulk/csv/", bulk.spreadsheet_page, name="bulk_csv"),
    path("bulk/<int:operation_id>/", bulk.one, name="bulk_one"),
    path("bulk/<int:operation_id>/progress", bulk.progress, name="bulk_progress"),
    path("bulk/<int:operation_id>/start", bulk.start, name="bulk_start"),
    path("bulk/<int:operation_id>/undo", bulk.undo, name="bulk_undo"),
    path("bulk/<int:operation_id>/discard", bulk.discard, name="bulk_discard"),
    path("<int:administration_id>/", detail.detail, name="detail"),
    path("<int:administration_id>/edit/", detail.edit, name="edit"),
    path("<int:administration_id>/identity/", identity.page, name="identity"),
    path("<int:administration_id>/identity/card", identity.card, name="register_card"),
    path("<int:administration_id>/identity/register", identity.ask, name="ask_register"),
    path("<int:administration_id>/settings/", detail.settings_page, name="settings"),
    path("<int:administration_id>/history/", detail.history, name="history"),
    path("<int:administration_id>/star", detail.star, name="star"),
    path("<int:administration_id>/ending/", lifecycle.ending, name="ending"),
    path("<int:administration_id>/left", lifecycle.left, name="left"),
    path("<int:administration_id>/stays", lifecycle.stays, name="stays"),
    path("<int:administration_id>/withdraw", lifecycle.withdraw, name="withdraw"),
    path("<int:administration_id>/predecessor", lifecycle.follow, name="follow"),
]
