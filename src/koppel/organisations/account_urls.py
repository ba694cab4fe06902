"""Addresses below `/account/`: what is a person's own."""

from django.urls import path

from koppel.organisations.pages import tokens

app_name = "own"
urlpatterns = [
    path("tokens/", tokens.listing, name="tokens"),
    path("tokens/<int:token_id>/revoke", tokens.revoke, name="revoke_token"),
]
