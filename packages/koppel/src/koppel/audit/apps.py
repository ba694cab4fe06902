from django.apps import AppConfig


class AuditConfig(AppConfig):
    name = "koppel.audit"
    label = "audit"
