"""URLs below `/administrations/<id>/` and `/imports/`."""

from django.urls import path

from koppel.sync import views

app_name = "sync"
urlpatterns = [
    path("sync/", views.overview, name="overview"),
    path("sync/changes/", views.list_changes, name="changes"),
    path("sync/runs/<int:run_id>/", views.run_detail, name="run"),
    path("sync/now", views.sync_now, name="now"),
    path("sync/cancel", views.cancel_sync, name="cancel"),
]
import_urlpatterns = [
    path("<int:import_id>/", views.import_page, name="detail"),
]
