"""Addresses below `/administrations/`."""

from django.urls import path

from koppel.administrations.views import bulk, detail, identity, lifecycle, listing

app_name = "administrations"
urlpatterns = [
    path("", listing.show_list, name="list"),
    path("rows/", listing.show_rows, name="rows"),
    path("export.<str:file_format>", listing.export, name="export"),
    path("views", listing.update_view, name="views"),
    path("restricted/", listing.hidden, name="hidden"),
    path("restricted/<int:administration_id>", lifecycle.reassign, name="reassign"),
    path("bulk/", bulk.recent, name="bulk_list"),
    path("bulk/preview", bulk.preview, name="bulk_preview"),
    path("bulk/csv/", bulk.spreadsheet_page, name="bulk_csv"),
    path("bulk/<int:operation_id>/", bulk.detail, name="bulk_detail"),
    path("bulk/<int:operation_id>/progress", bulk.progress, name="bulk_progress"),
    path("bulk/<int:operation_id>/start", bulk.start, name="bulk_start"),
    path("bulk/<int:operation_id>/undo", bulk.undo, name="bulk_undo"),
    path("bulk/<int:operation_id>/discard", bulk.discard, name="bulk_discard"),
    path("<int:administration_id>/", detail.detail, name="detail"),
    path("<int:administration_id>/edit/", detail.edit, name="edit"),
    path("<int:administration_id>/identity/", identity.page, name="identity"),
    path("<int:administration_id>/identity/card", identity.register_card, name="register_card"),
    path("<int:administration_id>/identity/register", identity.request_check, name="check_register"),
    path("<int:administration_id>/settings/", detail.settings_page, name="settings"),
    path("<int:administration_id>/history/", detail.history, name="history"),
    path("<int:administration_id>/favourite", detail.set_favourite, name="favourite"),
    path("<int:administration_id>/offboarding/", lifecycle.offboarding_page, name="offboarding"),
    path("<int:administration_id>/offboard", lifecycle.offboard, name="offboard"),
    path("<int:administration_id>/cancel-offboarding", lifecycle.cancel_offboarding, name="cancel_offboarding"),
    path("<int:administration_id>/withdraw", lifecycle.withdraw, name="withdraw"),
    path("<int:administration_id>/predecessor", lifecycle.set_predecessor, name="set_predecessor"),
]
