"""Addresses below `/organisation/webhooks/`."""

from django.urls import path

from koppel.notifications.webhooks import views

app_name = "webhooks"
urlpatterns = [
    path("", views.list_webhooks, name="list"),
    path("<int:webhook_id>/", views.show_webhook, name="detail"),
    path("<int:webhook_id>/log", views.show_log, name="log"),
    path("<int:webhook_id>/test", views.send_test, name="test"),
    path("<int:webhook_id>/enable", views.enable_webhook, name="enable"),
    path("<int:webhook_id>/disable", views.disable_webhook, name="disable"),
    path("<int:webhook_id>/secret", views.rotate_secret, name="secret"),
    path("<int:webhook_id>/remove", views.remove_webhook, name="remove"),
    path("<int:webhook_id>/redeliver", views.redeliver, name="redeliver"),
]
