"""Addresses below `/organisation/webhooks/`."""

from django.urls import path

from koppel.notifications.webhooks import views

app_name = "webhooks"
urlpatterns = [
    path("", views.listing, name="list"),
    path("<int:webhook_id>/", views.one, name="one"),
    path("<int:webhook_id>/log", views.log, name="log"),
    path("<int:webhook_id>/act", views.act, name="act"),
    path("<int:webhook_id>/again", views.again, name="again"),
]
