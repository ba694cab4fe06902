"""Addresses below `/notices/`."""

from django.urls import path

from koppel.notifications.inbox import views

app_name = "notifications"
urlpatterns = [
    path("", views.list_notices, name="list"),
    path("read", views.mark_notices, name="read"),
    path("preferences/", views.edit_preferences, name="preferences"),
    path("unsubscribe/<str:token>", views.unsubscribe, name="unsubscribe"),
    path("<int:notice_id>/", views.open_notice, name="open"),
]
