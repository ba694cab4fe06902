"""Addresses below `/registers/`."""

from django.urls import path

from koppel.company_registers import views

app_name = "registers"
urlpatterns = [path("sectors", views.search_sectors, name="sectors")]
