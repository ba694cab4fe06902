"""Addresses below `/connections/`."""

from django.urls import path

from koppel.connections import app_views, repair_views, views

app_name = "connections"
urlpatterns = [
    path("", views.overview, name="list"),
    path("apps/", app_views.apps, name="apps"),
    path("apps/<int:app_id>/change", app_views.change, name="app_change"),
    path("apps/<int:app_id>/remove", app_views.remove, name="app_remove"),
    path("apps/<int:app_id>/test", app_views.test, name="app_test"),
    path("consent/callback", views.callback, name="callback"),
    path("consent/done", views.done, name="done"),
    path("repair/", repair_views.repair_all, name="repair"),
    path("leaving/<int:membership_id>/", repair_views.leaving, name="leaving"),
    path("<int:connection_id>/", views.detail, name="detail"),
    path("<int:connection_id>/reconnect", repair_views.reconnect, name="reconnect"),
    path("<int:connection_id>/probe", repair_views.probe, name="probe"),
    path("<int:connection_id>/pause", repair_views.pause, name="pause"),
    path("<int:connection_id>/resume", repair_views.resume, name="resume"),
    path("<int:connection_id>/owner", repair_views.owner, name="owner"),
    path("<int:connection_id>/take-over", repair_views.take_over, name="take-over"),
    path("<int:connection_id>/release", repair_views.release, name="release"),
    path("<int:connection_id>/change", repair_views.change, name="change"),
    path("<int:connection_id>/remove/", repair_views.remove, name="remove"),
]
