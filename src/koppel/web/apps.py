from django.apps import AppConfig


class WebConfig(AppConfig):
    name = "koppel.web"
    label = "web"

    def ready(self) -> None:
        from koppel.web import sign_ins  # noqa: PLC0415 - after models

        sign_ins.register()
