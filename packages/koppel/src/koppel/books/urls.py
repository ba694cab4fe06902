"""URLs below `/administrations/<id>/`."""

from django.urls import path

from koppel.books import views

app_name = "books"
urlpatterns = [
    path("books/", views.overview, name="overview"),
    path("books/trial-balance/", views.trial_balance_page, name="trial_balance"),
    path("books/export/", views.export_all, name="export"),
    path("books/chart/", views.result_chart, name="chart"),
    path("books/account/<path:code>/", views.account, name="account"),
    path("books/entry/<path:external_id>/", views.entry, name="entry"),
    path("books/<slug:resource>/", views.show_table, name="table"),
]
