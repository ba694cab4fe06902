"""① the system and ② the way to sign in; and the short way in, through a connection that exists."""

from django.contrib import messages
from django.http import Http404, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_POST

from koppel.connections.by_company_id import read_ids
from koppel.connections.doors import sign_in_at_vendor
from koppel.connections.errors import ConsentRefused, NoSuchConnection
from koppel.connections.listing import refresh_companies
from koppel.connections.models import ConsentPurpose
from koppel.connections.queries import apps_for, connections_of, sign_in_origins
from koppel.connector.errors import ConnectorError
from koppel.connector.registry import connectors
from koppel.kit.confirmation import Confirmation, unconfirmed
from koppel.kit.parameters import IDENTIFIER, id_of
from koppel.kit.tenancy import organisation_scope
from koppel.onboarding import flow as flows
from koppel.onboarding import steps
from koppel.onboarding.models import Flow, Step
from koppel.onboarding.outcomes import Elsewhere, Stay
from koppel.onboarding.pages.guard import UPLOAD_BYTES_MAX, frame, step_page, to_step, url_of
from koppel.organisations.policy import Permission
from koppel.registers.paste import decode
from koppel.web.doors import MemberRequest, outside_transaction, takes

LATER_SYSTEMS = ("Exact Online", "Twinfield", "AFAS", "Fortnox", "Tripletex")


def system(request: MemberRequest) -> HttpResponse:
    """① Choose the accounting system."""
    request.actor.require(Permission.CONNECTIONS)
    if request.method == "POST":
        key = request.POST.get("connector", "")
        if key not in connectors():
            raise Http404
        return to_step(flows.start(request.actor, key), Step.SIGN_IN)
    found = [(one.descriptor, bool(apps_for(request.actor, key))) for key, one in connectors().items()]
    context = {"systems": found, "later": LATER_SYSTEMS, "open_flows": flows.open_flows(request.actor)}
    return render(request, "onboarding/system.html", context | frame(Step.SYSTEM))


@takes(connection=IDENTIFIER)
@outside_transaction
def import_more(request: MemberRequest) -> HttpResponse:
    """More through a connection that exists: the list is fetched through the stored consent, no sign-in."""
    request.actor.require(Permission.IMPORT)
    with organisation_scope(request.actor.organisation_id):
        found = list(connections_of(request.actor))
    asked = request.parameters["connection"]
    if asked is None and len(found) == 1:
        asked = found[0].pk
    if asked is None:
        return HttpResponseRedirect(reverse("connections:list") if found else reverse("onboarding:new"))
    try:
        with organisation_scope(request.actor.organisation_id):
            flow = flows.start_import(request.actor, asked)
        refresh_companies(request.actor, asked)
    except NoSuchConnection:
        raise Http404 from None
    except ConnectorError as error:
        text = _("The list could not be renewed, so this is the last one: %s")
        messages.warning(request, text % _(str(error)))
    return to_step(flow, Step.CHOOSE)


@step_page(Step.SIGN_IN)
def resume(request: MemberRequest, flow: Flow) -> HttpResponse:
    """To the step that was reached."""
    return to_step(flow, Step(flow.step))


@require_POST
@step_page(Step.SIGN_IN)
def give_up(request: MemberRequest, flow: Flow) -> HttpResponse:
    """The person does not want this import any more."""
    question = Confirmation(
        title=_("Stop this import"),
        question=_("Stop this import?"),
        button=_("Stop this import"),
        back=reverse("onboarding:resume", args=[flow.token]),
        consequences=[
            _("What was ticked, typed and assigned here is lost. Nothing is imported."),
            _("A connection that was made stays."),
        ],
        facts=len(flow.answers) + len(flow.chosen),
        place="connections",
    )
    if page := unconfirmed(request, question):
        return page
    steps.abort(flow)
    messages.success(
        request, _("This import was dropped. Nothing was imported; a connection that was made is still there.")
    )
    return HttpResponseRedirect(reverse("connections:list"))


@step_page(Step.SIGN_IN)
def sign_in(request: MemberRequest, flow: Flow) -> HttpResponse:
    """② What is needed, what Koppel may do, and on to the vendor's own page or to the ids."""
    request.actor.require(Permission.CONNECTIONS)
    problems: dict[str, str] = {}
    if request.method == "POST":
        app_id = id_of(request.POST.get("app", "")) or 0
        if steps.way_of(request.actor, flow, app_id) is None:
            raise Http404
        text = _company_ids(request)
        outcome = steps.sign_in(request.actor, flow, app_id, text)
        if isinstance(outcome, Elsewhere):
            return _leave(request, flow, app_id)
        if not isinstance(outcome, Stay):
            _tell_ids(request, flow, app_id, text)
            return to_step(flow, Step.CHOOSE)
        problems = {one.field: one.sentence for one in outcome.troubles}
    request.csp_forms = sign_in_origins(request.actor)  # type: ignore[attr-defined]
    context = {
        "apps": apps_for(request.actor, flow.connector),
        "system": connectors()[flow.connector].descriptor,
        "problems": problems,
        "given": request.POST,
    }
    status = 422 if problems else 200
    return render(request, "onboarding/sign_in.html", context | frame(Step.SIGN_IN, flow), status=status)


def _leave(request: MemberRequest, flow: Flow, app_id: int) -> HttpResponse:
    purpose = ConsentPurpose.ADD_COMPANY if flow.collected else ConsentPurpose.CONNECT
    try:
        return sign_in_at_vendor(
            request, request.actor, app_id, purpose, url_of(flow, Step.CHOOSE),
            force_sign_in=request.POST.get("another") == "1",
        )  # fmt: skip
    except ConsentRefused as refusal:
        messages.error(request, str(refusal))
        return HttpResponseRedirect(request.path)


def _company_ids(request: MemberRequest) -> str:
    """What was pasted, and what was uploaded."""
    upload = request.FILES.get("file")
    text = request.POST.get("company_ids", "")
    if upload is not None and (upload.size or 0) > UPLOAD_BYTES_MAX:
        messages.error(request, _("This file is larger than 2 MB. A list of numbers is much smaller."))
    elif upload is not None:
        text += "\n" + decode(upload.read())
    return text


def _tell_ids(request: MemberRequest, flow: Flow, app_id: int, text: str) -> None:
    """What was read; what the vendor says of each stands in the table that follows."""
    way = steps.way_of(request.actor, flow, app_id)
    if way is None:
        return
    read = read_ids(way.mode, text)
    sentence = ngettext("%(count)d id was read.", "%(count)d ids were read.", len(read.ids)) % {"count": len(read.ids)}
    if read.doubled:
        twice = ngettext("%(count)d was given twice.", "%(count)d were given twice.", read.doubled)
        sentence += " " + twice % {"count": read.doubled}
    messages.success(request, sentence)
    if read.lines:
        messages.warning(request, _("No id was recognised in: %s") % "; ".join(read.lines[:5]))
