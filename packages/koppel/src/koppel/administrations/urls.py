"""URLs below `/administrations/` and `/issues/`."""

from django.urls import path

from koppel.administrations.views import bulk, detail, identity, issues, lifecycle, listing

app_name = "administrations"
urlpatterns = [
    path("", listing.show_list, name="list"),
    path("rows/", listing.show_rows, name="rows"),
    path("export.<str:file_format>", listing.export_administrations, name="export"),
    path("views", listing.update_view, name="views"),
    path("restricted/", listing.list_hidden, name="hidden"),
    path("restricted/<int:administration_id>", lifecycle.reassign, name="reassign"),
    path("bulk/", bulk.list_operations, name="bulk_list"),
    path("bulk/preview", bulk.preview_operation, name="bulk_preview"),
    path("bulk/csv/", bulk.import_table, name="bulk_csv"),
    path("bulk/<int:operation_id>/", bulk.show_operation, name="bulk_detail"),
    path("bulk/<int:operation_id>/progress", bulk.show_progress, name="bulk_progress"),
    path("bulk/<int:operation_id>/start", bulk.start_operation, name="bulk_start"),
    path("bulk/<int:operation_id>/undo", bulk.undo_operation, name="bulk_undo"),
    path("bulk/<int:operation_id>/discard", bulk.discard_operation, name="bulk_discard"),
    path("<int:administration_id>/", detail.show_administration, name="detail"),
    path("<int:administration_id>/peek", detail.peek_administration, name="peek"),
    path("<int:administration_id>/edit/", detail.edit_administration, name="edit"),
    path("<int:administration_id>/identity/", identity.edit_identity, name="identity"),
    path("<int:administration_id>/identity/card", identity.show_register_card, name="register_card"),
    path("<int:administration_id>/identity/register", identity.request_check, name="check_register"),
    path("<int:administration_id>/settings/", detail.edit_settings, name="settings"),
    path("<int:administration_id>/history/", detail.show_history, name="history"),
    path("<int:administration_id>/favourite", detail.set_favourite, name="favourite"),
    path("<int:administration_id>/offboarding/", lifecycle.show_offboarding, name="offboarding"),
    path("<int:administration_id>/offboard", lifecycle.offboard, name="offboard"),
    path(
        "<int:administration_id>/cancel-offboarding", lifecycle.cancel_offboarding, name="cancel_offboarding"
    ),
    path("<int:administration_id>/withdraw", lifecycle.withdraw, name="withdraw"),
    path("<int:administration_id>/predecessor", lifecycle.set_predecessor, name="set_predecessor"),
]
issue_urlpatterns = [
    path("", issues.list_issues, name="list"),
    path("actions", issues.act_on_issues, name="act"),
    path("operations/<int:operation_id>/undo", issues.undo_operation, name="undo"),
    path("<int:issue_id>/", issues.show_issue, name="detail"),
]
