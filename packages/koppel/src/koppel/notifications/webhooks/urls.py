"""Addresses below `/organisation/webhooks/`."""

from django.urls import path

from koppel.notifications.webhooks import views

app_name = "webhooks"
urlpatterns = [
    path("", views.list_webhooks, name="list"),
    path("<int:webhook_id>/", views.show_webhook, name="detail"),
    path("<int:webhook_id>/log", views.show_log, name="log"),
    path("<int:webhook_id>/action", views.perform_action, name="action"),
    path("<int:webhook_id>/redeliver", views.redeliver, name="redeliver"),
]
