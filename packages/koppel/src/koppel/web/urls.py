"""Addresses of the frame's own pages."""

from django.urls import path

from koppel.web import views
from koppel.web.audit.views import activity
from koppel.web.help.views import help_image, help_index, help_page
from koppel.web.styleguide import show_styleguide

app_name = "web"
urlpatterns = [
    path("", views.dashboard, name="dashboard"),
    path("help/", help_index, name="help"),
    path("help/images/<str:name>", help_image, name="help_image"),
    path("help/<slug:name>/", help_page, name="help_page"),
    path("changes/", views.recent_changes, name="changes"),
    path("search/", views.search, name="search"),
    path("organisation/activity/", activity, name="activity"),
    path("styleguide/", show_styleguide, name="styleguide"),
]
