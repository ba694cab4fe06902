"""Addresses below `/imports/`."""

from django.urls import path

from koppel.sync import views

app_name = "imports"
urlpatterns = [
    path("<int:import_id>/", views.import_page, name="one"),
]
