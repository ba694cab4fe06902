"""Addresses below `/organisation/`."""

from django.urls import path

from koppel.organisations import views
from koppel.organisations.pages import divisions, templates

app_name = "organisations"
urlpatterns = [
    path("people/", views.people, name="people"),
    path("divisions/", divisions.listing, name="divisions"),
    path("divisions/<int:division_id>/", divisions.one, name="division"),
    path("divisions/<int:division_id>/merge", divisions.merge, name="division_merge"),
    path("templates/", templates.listing, name="templates"),
    path("templates/<int:template_id>/", templates.one, name="template"),
    path("templates/<int:template_id>/merge", templates.merge, name="template_merge"),
    path("activity/", views.activity, name="activity"),
    path("settings/", views.settings_page, name="settings"),
]
