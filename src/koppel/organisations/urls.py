"""Addresses below `/organisation/`."""

from django.urls import path

from koppel.organisations import views

app_name = "organisations"
urlpatterns = [
    path("people/", views.people, name="people"),
    path("divisions/", views.divisions, name="divisions"),
    path("templates/", views.templates, name="templates"),
    path("activity/", views.activity, name="activity"),
    path("settings/", views.settings_page, name="settings"),
]
