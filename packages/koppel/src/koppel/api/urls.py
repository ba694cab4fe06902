"""Addresses of the API reference, below `/account/`."""

from django.urls import path

from koppel.api import views

urlpatterns = [path("", views.reference, name="api_reference")]
