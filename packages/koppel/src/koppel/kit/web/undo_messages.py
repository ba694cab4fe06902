"""Messages of pages that offer to undo what was done. The undo is a form that posts to `undo_url`."""

from django.contrib import messages
from django.http import HttpRequest

UNDO = "undo="


def success_with_undo(request: HttpRequest, sentence: str, undo_url: str) -> None:
    """Show the sentence on the next page, with a button that posts to `undo_url`."""
    messages.success(request, sentence, extra_tags=f"{UNDO}{undo_url}")


def undo_url_of(extra_tags: str) -> str:
    """Return where the undo of a message posts to; '' when it has none."""
    return extra_tags.removeprefix(UNDO) if extra_tags.startswith(UNDO) else ""
