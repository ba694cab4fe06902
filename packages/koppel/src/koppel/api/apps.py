from django.apps import AppConfig


class ApiConfig(AppConfig):
    name = "koppel.api"
    label = "api"
