"""Addresses below `/connections/`."""

from django.urls import path

from koppel.connections import views

app_name = "connections"
urlpatterns = [
    path("", views.overview, name="list"),
    path("consent/callback", views.callback, name="callback"),
    path("consent/done", views.done, name="done"),
    path("<int:connection_id>/", views.detail, name="detail"),
    path("<int:connection_id>/reconnect", views.reconnect, name="reconnect"),
]
