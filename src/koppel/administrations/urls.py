"""Addresses below `/administrations/`."""

from django.urls import path

from koppel.administrations.views import bulk, detail, identity, lifecycle, listing

app_name = "administrations"
urlpatterns = [
    path("", listing.listing, name="list"),
    path("rows/", listing.rows, name="rows"),
    path("export.<str:file_format>", listing.export, name="export"),
    path("views", listing.update_view, name="views"),
    path("restricted/", listing.hidden, name="hidden"),
    path("restricted/<int:administration_id>", lifecycle.reassign, name="rescue"),
    path("bulk/", bulk.recent, name="bulk_list"),
    path("bulk/preview", bulk.preview, name="bulk_preview"),
    path("bulk/csv/", bulk.spreadsheet_page, name="bulk_csv"),
    path("bulk/<int:operation_id>/", bulk.detail, name="bulk_one"),
    path("bulk/<int:operation_id>/progress", bulk.progress, name="bulk_progress"),
    path("bulk/<int:operation_id>/start", bulk.start, name="bulk_start"),
    path("bulk/<int:operation_id>/undo", bulk.undo, name="bulk_undo"),
    path("bulk/<int:operation_id>/discard", bulk.discard, name="bulk_discard"),
    path("<int:administration_id>/", detail.detail, name="detail"),
    path("<int:administration_id>/edit/", detail.edit, name="edit"),
    path("<int:administration_id>/identity/", identity.page, name="identity"),
    path("<int:administration_id>/identity/card", identity.register_card, name="register_card"),
    path("<int:administration_id>/identity/register", identity.request_check, name="ask_register"),
    path("<int:administration_id>/settings/", detail.settings_page, name="settings"),
    path("<int:administration_id>/history/", detail.history, name="history"),
    path("<int:administration_id>/star", detail.set_favourite, name="star"),
    path("<int:administration_id>/ending/", lifecycle.offboarding_page, name="ending"),
    path("<int:administration_id>/left", lifecycle.offboard, name="left"),
    path("<int:administration_id>/stays", lifecycle.cancel_offboarding, name="stays"),
    path("<int:administration_id>/withdraw", lifecycle.withdraw, name="withdraw"),
    path("<int:administration_id>/predecessor", lifecycle.set_predecessor, name="follow"),
]
