"""A member's own notifications and notification preferences."""

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from koppel.kit.tenancy import organisation_scope
from koppel.kit.web.decorators import public, takes
from koppel.kit.web.parameters import PAGE, day_of, id_of, lazy_choices, one_of
from koppel.notifications.audience import preferences
from koppel.notifications.email.composer import read_unsubscribe
from koppel.notifications.event_types import event_types, get_event_type
from koppel.notifications.inbox import queries
from koppel.notifications.inbox.services import mark_read, mark_unread
from koppel.notifications.models import Channel, PreferenceScope
from koppel.organisations.requests import AuthenticatedRequest


@takes(show=one_of("unread"), event=lazy_choices(lambda: event_types), page=PAGE)
def list_notices(request: AuthenticatedRequest) -> HttpResponse:
    """List notices, the newest first; `?show=unread` and `?event=` narrow it down."""
    params = request.parameters
    newest = queries.newest_id(request.actor)
    page = queries.page_of(
        request.actor,
        event=params["event"] or "",
        unread_only=params["show"] == "unread",
        number=params["page"] or 1,
    )
    query = request.GET.copy()
    query.pop("page", None)
    context = {
        "page": page,
        "kinds": queries.event_types_of(request.actor),
        "filters": params,
        "query": query.urlencode(),
        "here": request.GET.urlencode(),
        "newest": newest,
    }
    return render(request, "notifications/list.html", context | {"nav_section": "notices"})


@require_POST
def mark_notices_read(request: AuthenticatedRequest) -> HttpResponse:
    """Mark one as read or unread, or all as read."""
    notice_id, unread = request.POST.get("id", ""), request.POST.get("unread", "")
    if key := id_of(unread):
        mark_unread(request.actor, key)
    else:
        newest = request.POST.get("newest", "")
        # All that the page could know of: what came since has been read by nobody.
        up_to = id_of(newest)
        mark_read(request.actor, [key] if (key := id_of(notice_id)) else None, up_to=up_to)
    query = request.POST.get("query", "")
    url = reverse("notifications:list")
    return HttpResponseRedirect(f"{url}?{query}" if query and "\n" not in query else url)


def open_notice(request: AuthenticatedRequest, notice_id: int) -> HttpResponse:
    """Mark the notice as read and redirect to what it is about."""
    notice = queries.notice_for(request.actor, notice_id)
    if notice is None:
        raise Http404
    mark_read(request.actor, [notice.pk])
    return redirect(notice.link or "notifications:list")


def preferences_page(request: AuthenticatedRequest) -> HttpResponse:
    """Show and store preferences by event and channel, the digest, and who stands in."""
    actor = request.actor
    if request.method == "POST":
        if _save(request):
            messages.success(request, _("Your choices are stored."))
            return HttpResponseRedirect(request.path)
        messages.error(request, _("Choose a colleague who can sign in as your stand-in. Nothing was stored."))
    context = {
        "rows": preferences.list_preferences(actor),
        "screen_scopes": [(scope.value, scope.label) for scope in preferences.SCREEN_SCOPES],
        "mail_scopes": PreferenceScope.choices,
        "delivery_settings": preferences.delivery_settings_of(actor),
        "colleagues": preferences.colleagues(actor),
        "nav_section": "notices",
    }
    return render(request, "notifications/preferences.html", context)


def _save(request: AuthenticatedRequest) -> bool:
    form = request.POST
    stand_in, away = form.get("stand_in", ""), form.get("away_until", "")
    stored = preferences.update_delivery_settings(
        request.actor,
        digest=form.get("digest") == "daily",
        stand_in=id_of(stand_in),
        away_until=day_of(away),
    )
    if not stored:
        return False
    scopes = {}
    for row in preferences.list_preferences(request.actor):
        for channel in Channel.values:
            scope = form.get(f"{channel}-{row.event}", "")
            # The form does not offer to hide anything from the screen.
            if scope and (channel, scope) != (Channel.SCREEN, PreferenceScope.NONE):
                scopes[row.event, channel] = scope
    preferences.update_preferences(request.actor, scopes)
    return True


@csrf_exempt
@public
def unsubscribe(request: HttpRequest, token: str) -> HttpResponse:
    """Turn off mail about an event without signing in: the signed link is the authority (RFC 8058 posts to it)."""
    parsed = read_unsubscribe(token)
    if parsed is None:
        raise Http404
    organisation_id, membership_id, event = parsed
    if request.method == "POST":
        with organisation_scope(organisation_id):
            preferences.unsubscribe(organisation_id, membership_id, event)
    label = str(get_event_type(event).label) or event
    return render(request, "notifications/unsubscribe.html", {"label": label, "done": request.method == "POST"})
