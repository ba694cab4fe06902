"""Addresses below `/notices/`."""

from django.urls import path

from koppel.notifications import views

app_name = "notifications"
urlpatterns = [path("", views.listing, name="list"), path("read", views.read, name="read")]
