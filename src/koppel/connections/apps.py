from django.apps import AppConfig


class ConnectionsConfig(AppConfig):
    name = "koppel.connections"
    label = "connections"
