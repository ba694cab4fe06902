"""Addresses below `/connections/`."""

from django.urls import path

from koppel.connections.views import actions, app_registrations, consent, pages

app_name = "connections"
urlpatterns = [
    path("", pages.overview, name="list"),
    path("apps/", app_registrations.apps, name="apps"),
    path("apps/<int:app_id>/change", app_registrations.change, name="app_change"),
    path("apps/<int:app_id>/remove", app_registrations.remove, name="app_remove"),
    path("apps/<int:app_id>/test", app_registrations.test, name="app_test"),
    path("consent/callback", consent.callback, name="callback"),
    path("consent/done", consent.complete, name="done"),
    path("reconnect/", actions.reconnect_all, name="reconnect_all"),
    path("offboarding/<int:membership_id>/", actions.offboarding, name="offboarding"),
    path("<int:connection_id>/", pages.detail, name="detail"),
    path("<int:connection_id>/reconnect", actions.reconnect, name="reconnect"),
    path("<int:connection_id>/probe", actions.probe, name="probe"),
    path("<int:connection_id>/pause", actions.pause, name="pause"),
    path("<int:connection_id>/resume", actions.resume, name="resume"),
    path("<int:connection_id>/owner", actions.owner, name="owner"),
    path("<int:connection_id>/accept-transfer", actions.accept_transfer, name="accept_transfer"),
    path("<int:connection_id>/import-policy", actions.import_policy, name="import_policy"),
    path("<int:connection_id>/change", actions.change, name="change"),
    path("<int:connection_id>/remove/", actions.remove, name="remove"),
]
