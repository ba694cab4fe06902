"""Addresses below `/administrations/`."""

from django.urls import path

from koppel.administrations import views

app_name = "administrations"
urlpatterns = [
    path("", views.listing, name="list"),
    path("rows/", views.rows, name="rows"),
    path("bulk", views.bulk, name="bulk"),
    path("<int:administration_id>/", views.detail, name="detail"),
    path("<int:administration_id>/settings/", views.settings_page, name="settings"),
    path("<int:administration_id>/history/", views.history, name="history"),
    path("<int:administration_id>/star", views.star, name="star"),
]
