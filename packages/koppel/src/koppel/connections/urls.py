"""Addresses below `/connections/`."""

from django.urls import path

from koppel.connections.views import actions, app_registrations, consent, pages

app_name = "connections"
urlpatterns = [
    path("", pages.list_connections, name="list"),
    path("apps/", app_registrations.manage_apps, name="apps"),
    path("apps/<int:app_id>/change", app_registrations.change_app, name="app_change"),
    path("apps/<int:app_id>/remove", app_registrations.remove_app, name="app_remove"),
    path("apps/<int:app_id>/test", app_registrations.check_app, name="app_test"),
    path("consent/callback", consent.receive_redirect, name="redirect_address"),
    path("consent/done", consent.finish_sign_in, name="done"),
    path("reconnect/", actions.show_reconnect_all, name="reconnect_all"),
    path("offboarding/<int:membership_id>/", actions.hand_over_connections, name="offboarding"),
    path("<int:connection_id>/", pages.show_connection, name="detail"),
    path("<int:connection_id>/reconnect", actions.reconnect_connection, name="reconnect"),
    path("<int:connection_id>/probe", actions.check_connection_now, name="probe"),
    path("<int:connection_id>/pause", actions.pause_connection, name="pause"),
    path("<int:connection_id>/resume", actions.resume_connection, name="resume"),
    path("<int:connection_id>/owner", actions.request_transfer, name="owner"),
    path("<int:connection_id>/accept-transfer", actions.accept_transfer, name="accept_transfer"),
    path("<int:connection_id>/import-policy", actions.set_import_policy, name="import_policy"),
    path("<int:connection_id>/change", actions.resolve_changes, name="change"),
    path("<int:connection_id>/remove/", actions.remove_connection, name="remove"),
]
