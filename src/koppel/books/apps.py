from django.apps import AppConfig


class BooksConfig(AppConfig):
    name = "koppel.books"
    label = "books"
