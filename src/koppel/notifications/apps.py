from django.apps import AppConfig


class NotificationsConfig(AppConfig):
    name = "koppel.notifications"
    label = "notifications"
