"""Addresses below `/organisation/webhooks/`."""

from django.urls import path

from koppel.notifications.webhooks import views

app_name = "webhooks"
urlpatterns = [
    path("", views.listing, name="list"),
    path("<int:webhook_id>/", views.detail, name="detail"),
    path("<int:webhook_id>/log", views.log, name="log"),
    path("<int:webhook_id>/action", views.perform_action, name="action"),
    path("<int:webhook_id>/redeliver", views.redeliver, name="redeliver"),
]
