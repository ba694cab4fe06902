"""The frame's own pages: health for machines, language, dashboard."""

import re

from django.conf import settings
from django.core.exceptions import DisallowedHost
from django.db import connection
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import render
from django.template import loader
from django.urls import reverse
from django.utils import translation
from django.views.decorators.http import require_POST

from koppel.kit import quarantine
from koppel.kit.web.decorators import public, query_parameters
from koppel.kit.web.forms import return_url
from koppel.kit.web.parameters import IDENTIFIER, PAGE, TEXT, Parameter, one_of
from koppel.organisations.access.memberships import is_used_elsewhere
from koppel.organisations.people.services import save_language
from koppel.organisations.requests import AuthenticatedRequest
from koppel.organisations.roles import Permission
from koppel.web.dashboard import load_dashboard
from koppel.web.forms import LanguageForm
from koppel.web.recent_changes import PERIODS, ChangesPeriod, load_recent_changes
from koppel.web.search import queries as search_queries


@public
def healthz(request: HttpRequest) -> HttpResponse:
    """Answer 200 when the database answers, in quarantine as well: for load balancers and the supervisor."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return JsonResponse({"status": "ok", "quarantined": quarantine.current() is not None})


def server_error(request: HttpRequest) -> HttpResponse:
    """Show a page that needs neither the database nor a user."""
    context = {"quarantine": quarantine.last_known()}
    return HttpResponse(loader.get_template("500.html").render(context), status=500)


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Name the configured address to a person who opens Koppel under another one."""
    if not isinstance(exception, DisallowedHost):
        return render(request, "400.html", {"languages": ()}, status=400)
    host = request.META.get("HTTP_HOST", "")
    opened = f"{request.scheme}://{host}" if re.fullmatch(r"[\w.:\[\]-]{1,255}", host, re.ASCII) else ""
    context = {"opened": opened, "public_url": settings.PUBLIC_URL, "languages": ()}
    with translation.override(translation.get_language_from_request(request)):
        return render(request, "web/wrong_address.html", context, status=400)


@public
@require_POST
def choose_language(request: HttpRequest) -> HttpResponse:
    """Remember the language in this browser and, when signed in, for the person.

    A session that an identity provider opened keeps its own choice if the person also works in another
    organisation: the provider must not change the language there.
    """
    form = LanguageForm.of(request)
    response = HttpResponseRedirect(return_url(request, reverse("web:dashboard")))
    if form.is_valid():
        language = form.cleaned_data["language"]
        response.set_cookie(settings.LANGUAGE_COOKIE_NAME, language, max_age=365 * 24 * 3600, samesite="Lax")
        if request.user.is_authenticated:
            sso_organisation_id = request.session.get("sso_organisation_id")
            if sso_organisation_id is None or not is_used_elsewhere(request.user.pk, sso_organisation_id):
                save_language(request.user.pk, language)
            else:
                request.session["language"] = language
    return response


def dashboard(request: AuthenticatedRequest) -> HttpResponse:
    """Show four summaries, each with its list."""
    return render(
        request,
        "web/dashboard.html",
        {"dashboard": load_dashboard(request.actor), "nav_section": "dashboard"},
    )


@query_parameters(period=one_of(*ChangesPeriod), page=PAGE)
def recent_changes(request: AuthenticatedRequest) -> HttpResponse:
    """Show what changed in a period, by administration."""
    request.actor.require(Permission.VIEW)
    period = request.parameters["period"]
    listing = load_recent_changes(
        request.actor, ChangesPeriod(period) if period else None, request.parameters["page"] or 1
    )
    context = {"listing": listing, "periods": PERIODS.items(), "nav_section": "changes"}
    return render(request, "web/recent_changes.html", context)


@query_parameters(q=TEXT, administration=IDENTIFIER, recent=Parameter(is_multiple=True))
def search(request: AuthenticatedRequest) -> HttpResponse:
    """Return the palette's results for a text, or what it offers before one is typed."""
    text = (request.parameters["q"] or "")[:100].strip()
    administration_id = request.parameters["administration"]
    if text:
        groups = search_queries.search(request.actor, text, administration_id)
    else:
        groups = search_queries.suggestions(request.actor, request.parameters["recent"], administration_id)
    return render(request, "web/parts/palette_results.html", {"groups": groups})
