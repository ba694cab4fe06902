from django.urls import URLPattern

app_name = "administrations"
urlpatterns: list[URLPattern] = []
