"""Addresses below `/notifications/`."""

from django.urls import path

from koppel.notifications.inbox import views

app_name = "notifications"
urlpatterns = [
    path("", views.list_notifications, name="list"),
    path("read", views.mark_notifications, name="read"),
    path("preferences/", views.edit_preferences, name="preferences"),
    path("unsubscribe/<str:token>", views.unsubscribe, name="unsubscribe"),
    path("<int:notification_id>/", views.open_notification, name="open"),
]
