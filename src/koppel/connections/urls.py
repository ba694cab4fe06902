"""Addresses below `/connections/`."""

from django.urls import path

from koppel.connections import app_views, views

app_name = "connections"
urlpatterns = [
    path("", views.overview, name="list"),
    path("apps/", app_views.apps, name="apps"),
    path("apps/<int:app_id>/change", app_views.change, name="app_change"),
    path("apps/<int:app_id>/remove", app_views.remove, name="app_remove"),
    path("apps/<int:app_id>/test", app_views.test, name="app_test"),
    path("consent/callback", views.callback, name="callback"),
    path("consent/done", views.done, name="done"),
    path("<int:connection_id>/", views.detail, name="detail"),
    path("<int:connection_id>/reconnect", views.reconnect, name="reconnect"),
]
