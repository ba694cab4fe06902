from django.apps import AppConfig


class OrganisationsConfig(AppConfig):
    name = "koppel.organisations"
    label = "organisations"
