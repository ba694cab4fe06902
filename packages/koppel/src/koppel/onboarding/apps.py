from django.apps import AppConfig


class OnboardingConfig(AppConfig):
    name = "koppel.onboarding"
    label = "onboarding"
