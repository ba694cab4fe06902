"""Addresses below `/connections/new/`."""

from django.urls import path

from koppel.onboarding import views

app_name = "onboarding"
urlpatterns = [
    path("", views.system, name="new"),
    path("import", views.import_more, name="import"),
    path("<uuid:token>/", views.resume, name="resume"),
    path("<uuid:token>/sign-in", views.sign_in, name="sign_in"),
    path("<uuid:token>/choose", views.choose, name="choose"),
    path("<uuid:token>/companies.json", views.companies, name="companies"),
    path("<uuid:token>/identify", views.identify, name="identify"),
    path("<uuid:token>/assign", views.assign, name="assign"),
]
