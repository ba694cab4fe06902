"""Addresses of the frame's own pages."""

from django.urls import path

from koppel.web import views
from koppel.web.audit.views import activity
from koppel.web.styleguide import show_styleguide

app_name = "web"
urlpatterns = [
    path("", views.dashboard, name="dashboard"),
    path("search/", views.search, name="search"),
    path("organisation/activity/", activity, name="activity"),
    path("styleguide/", show_styleguide, name="styleguide"),
]
