"""Errors of a form at their fields: `{% load form_errors %}`."""

from django import template
from django.forms import BoundField, Form
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

register = template.Library()


@register.simple_tag
def invalid(field: BoundField | None) -> SafeString | str:
    """Return the attributes that mark an input as invalid; '' for a valid one.

    Use it inside the input's tag.
    """
    if not field or not field.errors:
        return ""
    return format_html(' aria-invalid="true" aria-describedby="{}-error"', field.html_name)


@register.simple_tag
def field_error(field: BoundField | None) -> SafeString | str:
    """Return the errors of a field, for display below its input."""
    if not field or not field.errors:
        return ""
    message = " ".join(map(str, field.errors))
    return format_html('<span class="field-error" id="{}-error">{}</span>', field.html_name, message)


@register.simple_tag
def form_errors(form: Form | None) -> SafeString | str:
    """Return a banner with the errors of the form as a whole, and of hidden fields."""
    if not form or not form.errors:
        return ""
    hidden = [error for field in form.hidden_fields() for error in field.errors]
    messages = [*form.non_field_errors(), *hidden]
    if not messages:
        return ""
    items = format_html_join(" ", "{}", ((message,) for message in messages))
    return format_html('<p class="banner banner-bad form-errors" role="alert">{}</p>', items)
