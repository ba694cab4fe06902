from django.apps import AppConfig


class AdministrationsConfig(AppConfig):
    name = "koppel.administrations"
    label = "administrations"
