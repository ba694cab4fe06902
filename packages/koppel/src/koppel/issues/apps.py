from django.apps import AppConfig


class IssuesConfig(AppConfig):
    name = "koppel.issues"
    label = "issues"
