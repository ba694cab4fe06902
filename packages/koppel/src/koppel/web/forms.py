"""Forms of the frame's own pages."""

from django.conf import settings

from koppel.kit.web.forms import ChoiceField, Form
from koppel.kit.web.schemas import Input


class LanguageForm(Form[Input]):
    """A language of Koppel. No input type: only pages have a language to choose."""

    language = ChoiceField(required=True, choices=lambda: settings.LANGUAGES)
