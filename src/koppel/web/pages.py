"""Addresses of the frame's own pages."""

from django.urls import path

from koppel.web import views

app_name = "web"
urlpatterns = [
    path("", views.dashboard, name="dashboard"),
    path("search/", views.search, name="search"),
]
