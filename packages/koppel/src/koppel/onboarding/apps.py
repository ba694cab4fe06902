from django.apps import AppConfig


class OnboardingConfig(AppConfig):
    name = "koppel.onboarding"
    label = "onboarding"

    def ready(self) -> None:
        from koppel.onboarding import wiring  # noqa: F401, PLC0415 - models must be loaded first
