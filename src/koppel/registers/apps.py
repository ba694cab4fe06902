from django.apps import AppConfig


class RegistersConfig(AppConfig):
    name = "koppel.registers"
    label = "registers"
