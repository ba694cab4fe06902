"""A person's own notices, and what the person wants to be told of."""

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from koppel.kit.parameters import PAGE, day_of, id_of, one_of, one_of_these
from koppel.kit.tenancy import organisation_scope
from koppel.notifications import preferences, queries
from koppel.notifications.catalogue import entry_of, events
from koppel.notifications.letters import read_unsubscribe
from koppel.notifications.models import Channel, Scope
from koppel.notifications.services import mark_read, mark_unread
from koppel.web.doors import MemberRequest, public, takes


@takes(show=one_of("unread"), event=one_of_these(events), page=PAGE)
def listing(request: MemberRequest) -> HttpResponse:
    """The newest first; `?show=unread` and `?event=` narrow it down."""
    asked = request.parameters
    newest = queries.newest_id(request.actor)
    page = queries.page_of(
        request.actor,
        event=asked["event"] or "",
        unread_only=asked["show"] == "unread",
        number=asked["page"] or 1,
    )
    query = request.GET.copy()
    query.pop("page", None)
    context = {
        "page": page,
        "kinds": queries.kinds_of(request.actor),
        "asked": asked,
        "query": query.urlencode(),
        "here": request.GET.urlencode(),
        "newest": newest,
    }
    return render(request, "notifications/list.html", context | {"place": "notices"})


@require_POST
def read(request: MemberRequest) -> HttpResponse:
    """Mark one as read or unread, or all as read."""
    one, unread = request.POST.get("id", ""), request.POST.get("unread", "")
    if key := id_of(unread):
        mark_unread(request.actor, key)
    else:
        newest = request.POST.get("newest", "")
        # All that the page could know of: what came since has been read by nobody.
        up_to = id_of(newest)
        mark_read(request.actor, [key] if (key := id_of(one)) else None, up_to=up_to)
    query = request.POST.get("query", "")
    return HttpResponseRedirect(f"/notices/?{query}" if query and "\n" not in query else "/notices/")


def open_notice(request: MemberRequest, notice_id: int) -> HttpResponse:
    """Where the notice leads; following it is reading it."""
    notice = queries.notice_for(request.actor, notice_id)
    if notice is None:
        raise Http404
    mark_read(request.actor, [notice.pk])
    return HttpResponseRedirect(notice.link or "/notices/")


def preferences_page(request: MemberRequest) -> HttpResponse:
    """Per event and channel: of whose administrations; the digest; who stands in."""
    actor = request.actor
    if request.method == "POST":
        if _save(request):
            messages.success(request, _("Your choices are stored."))
            return HttpResponseRedirect(request.path)
        messages.error(request, _("Choose a colleague who can sign in as your stand-in. Nothing was stored."))
    context = {
        "rows": preferences.rows(actor),
        "screen_scopes": [(one.value, one.label) for one in preferences.SCREEN_SCOPES],
        "mail_scopes": Scope.choices,
        "arrangement": preferences.arrangement_of(actor),
        "colleagues": preferences.colleagues(actor),
        "place": "notices",
    }
    return render(request, "notifications/preferences.html", context)


def _save(request: MemberRequest) -> bool:
    asked = request.POST
    stand_in, away = asked.get("stand_in", ""), asked.get("away_until", "")
    stored = preferences.arrange(
        request.actor,
        digest=asked.get("digest") == "daily",
        stand_in=id_of(stand_in),
        away_until=day_of(away),
    )
    if not stored:
        return False
    scopes = {}
    for row in preferences.rows(request.actor):
        for channel in Channel.values:
            scope = asked.get(f"{channel}-{row.event}", "")
            # The form does not offer to hide anything from the screen.
            if scope and (channel, scope) != (Channel.SCREEN, Scope.NONE):
                scopes[row.event, channel] = scope
    preferences.choose(request.actor, scopes)
    return True


@csrf_exempt
@public
def unsubscribe(request: HttpRequest, token: str) -> HttpResponse:
    """The way out in every mail, without signing in: the signed link is the authority (RFC 8058 posts to it)."""
    found = read_unsubscribe(token)
    if found is None:
        raise Http404
    organisation_id, membership_id, event = found
    if request.method == "POST":
        with organisation_scope(organisation_id):
            preferences.silence(organisation_id, membership_id, event)
    label = str(entry_of(event).label) or event
    return render(request, "notifications/unsubscribe.html", {"label": label, "done": request.method == "POST"})
