from django.apps import AppConfig


class WebConfig(AppConfig):
    name = "koppel.web"
    label = "web"
