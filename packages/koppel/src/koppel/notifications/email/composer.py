"""Compose an email: plain text and simple HTML in the recipient's language, with one link per notification
and a link to unsubscribe.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from email.utils import formatdate, parseaddr

from django.conf import settings
from django.core.mail import EmailMultiAlternatives
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone, translation
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from koppel.notifications.email.unsubscribe import unsubscribe_token
from koppel.notifications.event_types import render_message
from koppel.notifications.models import EventContext, Notification, NotificationReason
from koppel.organisations.models import Membership

SUBJECT_LENGTH_MAX = 150


@dataclass(frozen=True, kw_only=True)
class EmailItem:
    """A notification within an email. `when` is set in a digest."""

    message: str
    link: str
    when: str = ""


def build_email(
    membership: Membership,
    notifications: Sequence[Notification],
    contexts: Mapping[int, EventContext],
    *,
    is_digest: bool,
) -> EmailMultiAlternatives:
    """Build one email with these notifications. The same notifications give the same Message-ID.

    `contexts`: the facts that the member may see, by notification.
    """
    with translation.override(membership.user.language or settings.LANGUAGE_CODE):
        items = [
            _build_item(notification, contexts[notification.pk], is_digest=is_digest)
            for notification in notifications
        ]
        subject = _digest_subject(len(items)) if is_digest else items[0].message
        reason = "" if is_digest else str(NotificationReason(notifications[0].reason).label)
        context = {
            "items": items,
            "is_digest": is_digest,
            "organisation": membership.organisation.name,
            "because": reason,
            "preferences": _absolute(reverse("notifications:preferences")),
            "language": translation.get_language(),
        }
        text, html = _render_text(context), render_to_string("notifications/email.html", context)
    message = EmailMultiAlternatives(
        subject=" ".join(subject.split())[:SUBJECT_LENGTH_MAX],
        body=text,
        to=[membership.user.email],
        headers=_headers(membership, notifications, is_digest=is_digest),
    )
    message.attach_alternative(html, "text/html")
    return message


def _build_item(notification: Notification, facts: EventContext, *, is_digest: bool) -> EmailItem:
    # The link leads through the notification, so that following it marks the notification as read.
    link = _absolute(reverse("notifications:open", args=[notification.pk]))
    when = (
        date_format(timezone.localtime(notification.created_at), "SHORT_DATETIME_FORMAT") if is_digest else ""
    )
    return EmailItem(message=render_message(notification.event_type, facts), link=link, when=when)


def _digest_subject(count: int) -> str:
    return ngettext("%(count)d notification from Koppel", "%(count)d notifications from Koppel", count) % {
        "count": count
    }


def _render_text(context: dict[str, object]) -> str:
    lines = [_("Koppel for %(organisation)s") % context, ""]
    items = context["items"]
    for item in items if isinstance(items, list) else []:
        lines += [f"{item.when}  {item.message}".strip(), item.link, ""]
    if context["because"]:
        lines.append(_("You receive this because %(because)s.") % context)
    lines.append(_("Choose your e-mail notifications: %(preferences)s") % context)
    return "\n".join(lines) + "\n"


def _headers(
    membership: Membership, notifications: Sequence[Notification], *, is_digest: bool
) -> dict[str, str]:
    host = parseaddr(settings.DEFAULT_FROM_EMAIL)[1].rpartition("@")[2] or "localhost"
    first = notifications[0]
    kind = "digest" if is_digest else "notice"
    headers = {
        "Message-ID": f"<koppel.{membership.organisation_id}.{kind}.{first.pk}@{host}>",
        "Date": formatdate(),
        "Auto-Submitted": "auto-generated",
        "List-Unsubscribe": f"<{_absolute(reverse('notifications:preferences'))}>",
    }
    if not is_digest:
        way_out = reverse("notifications:unsubscribe", args=[unsubscribe_token(membership, first.event_type)])
        headers["List-Unsubscribe"] = f"<{_absolute(way_out)}>"
        headers["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
    return headers


def _absolute(path: str) -> str:
    return f"{settings.PUBLIC_URL}{path}"
