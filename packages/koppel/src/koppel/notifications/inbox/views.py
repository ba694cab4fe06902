"""A member's own notifications and notification preferences."""

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.csrf import csrf_exempt

from koppel.kit.tenancy import organisation_scope
from koppel.kit.web.decorators import action_of, public, query_parameters
from koppel.kit.web.parameters import PAGE, lazy_choices, one_of
from koppel.notifications.audience import preferences
from koppel.notifications.email import unsubscribe as email_unsubscribe
from koppel.notifications.event_types import event_types, get_event_type
from koppel.notifications.inbox import queries
from koppel.notifications.inbox.forms import NotificationPreferencesForm, ReadForm
from koppel.notifications.inbox.services import mark_read, mark_unread
from koppel.notifications.models import PreferenceScope
from koppel.organisations.requests import AuthenticatedRequest

SCOPE_HEADINGS = {
    PreferenceScope.NONE: gettext_lazy("None"),
    PreferenceScope.MINE: gettext_lazy("Owner"),
    PreferenceScope.FAVOURITES: gettext_lazy("Favourites"),
    PreferenceScope.DIVISIONS: gettext_lazy("Divisions"),
    PreferenceScope.ALL: gettext_lazy("All"),
}


@query_parameters(show=one_of("unread"), event=lazy_choices(lambda: event_types), page=PAGE)
def list_notifications(request: AuthenticatedRequest) -> HttpResponse:
    """Show the notifications, the newest first; `?show=unread` and `?event=` narrow them down."""
    params = request.parameters
    context = {
        "newest": queries.newest_id(request.actor),
        "page": queries.list_page(
            request.actor,
            event=params["event"] or "",
            unread_only=params["show"] == "unread",
            number=params["page"] or 1,
        ),
        "kinds": queries.event_types_of(request.actor),
        "filters": params,
        "nav_section": "notifications",
    }
    return render(request, "notifications/list.html", context)


@action_of("notifications:list")
def mark_notifications(request: AuthenticatedRequest) -> HttpResponse:
    """Mark one notification as read or unread, or all that the page could show as read. Newer ones stay
    unread.
    """
    values = ReadForm.of(request).values_or_refusal()
    if values["unread"]:
        mark_unread(request.actor, values["unread"])
    else:
        mark_read(request.actor, [values["id"]] if values["id"] else None, up_to=values["newest"])
    url, query = reverse("notifications:list"), values["query"].removeprefix("?")
    return HttpResponseRedirect(f"{url}?{query}" if query else url)


def open_notification(request: AuthenticatedRequest, notification_id: int) -> HttpResponse:
    """Mark the notification as read and redirect to what it is about."""
    notification = queries.get_notification(request.actor, notification_id)
    if notification is None:
        raise Http404
    mark_read(request.actor, [notification.pk])
    return redirect(notification.link or "notifications:list")


def edit_preferences(request: AuthenticatedRequest) -> HttpResponse:
    """Show and store the scope per event and channel, the digest and the stand-in."""
    actor, rows = request.actor, preferences.list_preferences(request.actor)
    form = NotificationPreferencesForm.of(request, rows)
    if request.method == "POST":
        with form.refusals():
            _save_preferences(request, form)
            messages.success(request, _("Notification settings saved."))
            return HttpResponseRedirect(request.path)
    context = {
        "form": form,
        "rows": form.typed_rows(rows) if form.is_bound else rows,
        "screen_scopes": [
            (scope.value, scope.label, SCOPE_HEADINGS[scope]) for scope in preferences.SCREEN_SCOPES
        ],
        "email_scopes": [(scope.value, scope.label, SCOPE_HEADINGS[scope]) for scope in PreferenceScope],
        "delivery_settings": form.typed_delivery_settings()
        if form.is_bound
        else preferences.delivery_settings_of(actor),
        "stand_in_candidates": preferences.stand_in_candidates(actor),
        "nav_section": "notifications",
    }
    return render(request, "notifications/preferences.html", context)


def _save_preferences(request: AuthenticatedRequest, form: NotificationPreferencesForm) -> None:
    values = form.values
    preferences.update_delivery_settings(
        request.actor,
        digest=values["digest"] == "daily",
        stand_in=values["stand_in"],
        away_until=values["away_until"],
    )
    preferences.update_preferences(request.actor, form.scopes())


@csrf_exempt
@public
def unsubscribe(request: HttpRequest, token: str) -> HttpResponse:
    """Turn off email about an event without signing in: the signed link is the authority (RFC 8058 posts to
    it).
    """
    unsubscription = email_unsubscribe.read_unsubscribe_token(token)
    if unsubscription is None:
        raise Http404
    if request.method == "POST":
        with organisation_scope(unsubscription.organisation_id):
            email_unsubscribe.unsubscribe(unsubscription)
    label = str(get_event_type(unsubscription.event_type).label) or unsubscription.event_type
    return render(
        request, "notifications/unsubscribe.html", {"label": label, "done": request.method == "POST"}
    )
