from django.apps import AppConfig


class WebConfig(AppConfig):
    name = "koppel.web"
    label = "web"

    def ready(self) -> None:
        from koppel.audit.queries import register_acts  # noqa: PLC0415 - after models
        from koppel.web import sign_ins  # noqa: PLC0415 - after models
        from koppel.web.acts import ACTS  # noqa: PLC0415 - after models

        sign_ins.register()
        register_acts(ACTS)
