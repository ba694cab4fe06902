"""URLs below `/connections/new/`."""

from django.urls import path

from koppel.onboarding.views import assign, choose, identify, start

app_name = "onboarding"
urlpatterns = [
    path("", start.choose_system, name="new"),
    path("import", start.import_more, name="import"),
    path("<uuid:token>/", start.resume, name="resume"),
    path("<uuid:token>/sign-in", start.sign_in, name="sign_in"),
    path("<uuid:token>/abandon", start.abandon, name="abandon"),
    path("<uuid:token>/choose", choose.choose_companies, name="choose"),
    path("<uuid:token>/ticks", choose.save_ticks, name="ticks"),
    path("<uuid:token>/companies.json", choose.list_companies, name="companies"),
    path("<uuid:token>/identify", identify.identify_companies, name="identify"),
    path("<uuid:token>/identify/template.csv", identify.download_template, name="template"),
    path("<uuid:token>/row", identify.save_row, name="row"),
    path("<uuid:token>/row-states.json", identify.list_row_states, name="row_states"),
    path("<uuid:token>/sectors.json", identify.list_sectors, name="sectors"),
    path("<uuid:token>/assign", assign.assign_companies, name="assign"),
    path("<uuid:token>/assign/undo", assign.undo_assignment, name="undo_assignment"),
]
