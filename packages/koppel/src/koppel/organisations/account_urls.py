"""Addresses below `/account/`: what is a person's own."""

from django.urls import path

from koppel.organisations.views import account, tokens

app_name = "own"
urlpatterns = [
    path("sessions/", account.own_sessions, name="sessions"),
    path("organisations/", account.organisations, name="organisations"),
    path("second-step/", account.second_step_needed, name="second_step_needed"),
    path("tokens/", tokens.listing, name="tokens"),
    path("tokens/<int:token_id>/revoke", tokens.revoke, name="revoke_token"),
]
