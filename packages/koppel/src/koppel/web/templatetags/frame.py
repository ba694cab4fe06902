"""Template filters of the frame: figures, durations, resource names."""

from django import template
from django.contrib.messages.storage.base import Message
from django.utils.formats import number_format
from django.utils.html import json_script
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from koppel.audit import hooks as audit_hooks
from koppel.books.read.labels import RESOURCES
from koppel.kit.web.sentences import render_sentence, with_single_stops
from koppel.kit.web.undo_messages import undo_url_of

register = template.Library()


@register.filter
def figure(value: int | None) -> str:
    """Format a number with the language's thousands separator."""
    return "–" if value is None else number_format(value, use_l10n=True, force_grouping=True)


@register.filter
def signed(value: int | None, sign: str) -> str:
    """Format a count of changes with its sign; zero is a dash, so that changes stand out."""
    return f"{sign}{figure(value)}" if value else "–"


@register.filter
def single_stops(message: object) -> str:
    """Return a message without a second full stop after a name such as `B.V.`; markup stays markup."""
    text = str(message)
    mended = with_single_stops(text)
    return SafeString(mended) if isinstance(text, SafeString) else mended


@register.filter
def sentence(stored: str | None) -> str:
    """Render a stored sentence in the reader's language."""
    return render_sentence(stored or "")


@register.filter
def duration(seconds: int | None) -> str:
    """Format seconds below a minute and a half, then minutes, then hours."""
    if seconds is None:
        return ""
    if seconds < 90:
        return ngettext("%(count)d second", "%(count)d seconds", seconds) % {"count": seconds}
    minutes = round(seconds / 60)
    if minutes < 90:
        return ngettext("%(count)d minute", "%(count)d minutes", minutes) % {"count": minutes}
    return _("%(hours)d hours") % {"hours": round(minutes / 60)}


@register.filter
def resource_name(key: str) -> str:
    return str(RESOURCES.get(key, key))


@register.filter
def action_label(action: str) -> str:
    return audit_hooks.action_label(action)


@register.filter
def key(value: int | None) -> str:
    """Format a row's id for an address or a form, without thousands separators."""
    return "" if value is None else str(value)


@register.filter
def browser_name(agent: str) -> str:
    """Return browser and system of a user agent, or the user agent when it names neither."""
    browsers = (("Edg/", "Edge"), ("Firefox/", "Firefox"), ("Chrome/", "Chrome"), ("Safari/", "Safari"))
    systems = (
        ("iPhone", "iPhone"),
        ("Android", "Android"),
        ("Windows", "Windows"),
        ("Mac OS", "macOS"),
        ("Linux", "Linux"),
    )
    browser = next((name for mark, name in browsers if mark in agent), "")
    system = next((name for mark, name in systems if mark in agent), "")
    return " · ".join(filter(None, (browser, system))) or agent[:60] or _("unknown browser")


@register.filter
def undo_url(message: Message) -> str:
    """Return where the undo of a message posts to; '' when it has none."""
    return undo_url_of(str(message.extra_tags or ""))


@register.simple_tag
def script_texts() -> SafeString:
    """Return the texts of scripts in the reader's language, as JSON that they read."""
    texts = {
        "cancel": _("Cancel"),
        "close": _("Close"),
        "column_width": _("Width of the column"),
        "confirm": _("Confirm"),
        "loading": _("Loading …"),
        "moved": _("Moved to position {position} of {count}"),
        "no_results": _("No results"),
        "remove": _("Remove"),
        "results_many": _("{count} results"),
        "results_one": _("1 result"),
        "type_to_confirm": _("Type {word} to confirm"),
        "undo": _("Undo"),
    }
    return json_script(texts, "script-texts")
