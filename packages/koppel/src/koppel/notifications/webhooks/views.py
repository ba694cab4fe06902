"""The pages of webhooks: which there are, and one with its log."""

from django.contrib import messages
from django.http import Http404, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_POST

from koppel.kit.encryption import Secret
from koppel.kit.web.decorators import takes
from koppel.kit.web.parameters import id_of, one_of
from koppel.notifications.errors import NoSuchWebhook
from koppel.notifications.event_types import webhook_event_types
from koppel.notifications.models import DeliveryState, WebhookDelivery, WebhookEndpoint
from koppel.notifications.webhooks import endpoints
from koppel.notifications.webhooks.endpoints import WebhookEndpointInput
from koppel.notifications.webhooks.event_types import reason_text
from koppel.organisations.errors import Refused
from koppel.organisations.people.list import divisions_of
from koppel.organisations.requests import AuthenticatedRequest

DELIVERIES_SHOWN = 100
SHOWN_STATES = (DeliveryState.FAILED.value, DeliveryState.WAITING.value, DeliveryState.SENT.value)


@takes()
def list_webhooks(request: AuthenticatedRequest) -> HttpResponse:
    """Show all webhooks and the form for a new one."""
    webhooks = endpoints.list_webhooks(request.actor)
    form_data = None
    if request.method == "POST":
        form_data = _parse_form(request)
        try:
            created, secret = endpoints.add(request.actor, form_data)
            messages.success(request, _("The webhook is made. Test it now."))
            return _page(request, created, secret)
        except Refused as refusal:
            messages.error(request, str(refusal))
    context = {
        "nav_section": "webhooks",
        "webhooks": [(webhook, _state_context(webhook)) for webhook in webhooks], "events": _events(),
        "typed": form_data, "chosen": set(form_data.events) if form_data else set(), "divisions": divisions_of(request.actor),
        "chosen_divisions": set(form_data.divisions) if form_data else set(),
    }  # fmt: skip
    return render(request, "notifications/webhooks.html", context)


@takes(state=one_of(*SHOWN_STATES))
def show_webhook(request: AuthenticatedRequest, webhook_id: int) -> HttpResponse:
    """Show the webhook's settings, secret and log."""
    webhook = _webhook_or_404(request, webhook_id)
    if request.method == "POST":
        try:
            endpoints.change_webhook(request.actor, webhook_id, _parse_form(request))
            messages.success(request, _("Saved."))
        except Refused as refusal:
            messages.error(request, str(refusal))
        return _redirect(webhook_id)
    return _page(request, webhook, None, state=request.parameters["state"] or "")


@takes(state=one_of(*SHOWN_STATES))
def show_log(request: AuthenticatedRequest, webhook_id: int) -> HttpResponse:
    """Show the log alone, which the page asks for while something is on its way."""
    webhook, state = _webhook_or_404(request, webhook_id), request.parameters["state"] or ""
    return render(request, "notifications/webhook_log.html", _log(request, webhook, state))


@require_POST
def perform_action(request: AuthenticatedRequest, webhook_id: int) -> HttpResponse:
    """Test the webhook, switch it, renew its secret or remove it."""
    webhook, action = _webhook_or_404(request, webhook_id), request.POST.get("action", "")
    try:
        if action == "test":
            endpoints.send_test(request.actor, webhook_id)
            messages.success(request, _("A test is on its way; the log shows what comes back."))
        elif action in ("on", "off"):
            endpoints.set_enabled(request.actor, webhook_id, on=action == "on")
        elif action == "secret":
            secret = endpoints.renew_secret(request.actor, webhook_id)
            return _page(request, _webhook_or_404(request, webhook_id), secret)
        elif action == "remove":
            endpoints.remove_webhook(request.actor, webhook_id)
            messages.success(request, _("The webhook “%(name)s” is removed.") % {"name": webhook.name})
            return HttpResponseRedirect(reverse("webhooks:list"))
    except Refused as refusal:
        messages.error(request, str(refusal))
    return _redirect(webhook_id)


@require_POST
def redeliver(request: AuthenticatedRequest, webhook_id: int) -> HttpResponse:
    """Send one message again, or all that failed."""
    _webhook_or_404(request, webhook_id)
    posted_id = request.POST.get("id", "")
    delivery_ids = [key] if (key := id_of(posted_id)) else None
    try:
        count = endpoints.redeliver(request.actor, webhook_id, delivery_ids)
        message = ngettext("%(count)d message is sent again.", "%(count)d messages are sent again.", count)
        messages.success(request, message % {"count": count})
    except Refused as refusal:
        messages.error(request, str(refusal))
    return _redirect(webhook_id)


def _page(
    request: AuthenticatedRequest, webhook: WebhookEndpoint, secret: Secret | None, *, state: str = ""
) -> HttpResponse:
    """Render the webhook's page; with its secret the one time that it is shown. `state` filters the log."""
    context = {
        "nav_section": "webhooks", "webhook": webhook, "facts": _state_context(webhook), "events": _events(), "typed": webhook,
        "chosen": set(webhook.events), "chosen_divisions": set(webhook.divisions),
        "divisions": divisions_of(request.actor), "secret": secret.reveal() if secret else "",
        "signs_twice": webhook.previous_until if secret else None,
        **_log(request, webhook, state),
    }  # fmt: skip
    response = render(request, "notifications/webhook.html", context)
    if secret:
        response["Cache-Control"] = "no-store"
    return response


def _log(request: AuthenticatedRequest, webhook: WebhookEndpoint, state: str) -> dict[str, object]:
    deliveries = endpoints.list_deliveries(request.actor, webhook.pk, state=state, limit=DELIVERIES_SHOWN)
    all_deliveries = WebhookDelivery.objects.filter(organisation_id=webhook.organisation_id, webhook=webhook)
    names = {event: str(definition.label) for event, definition in webhook_event_types().items()}
    return {
        "webhook": webhook,
        "state": state,
        "deliveries": [
            (delivery, names.get(delivery.event_type, delivery.event_type), reason_text(delivery.reason))
            for delivery in deliveries
        ],
        "failed": all_deliveries.filter(state=DeliveryState.FAILED).count(),
        "is_busy": any(delivery.state == DeliveryState.CLAIMED or _is_new(delivery) for delivery in deliveries),
        "is_cut": len(deliveries) == DELIVERIES_SHOWN,
    }


def _is_new(delivery: WebhookDelivery) -> bool:
    return delivery.state == DeliveryState.WAITING and delivery.attempts == 0


def _state_context(webhook: WebhookEndpoint) -> dict[str, str]:
    return {"stopped": reason_text(webhook.disabled_reason)}


def _events() -> list[tuple[str, str]]:
    choices = ((event, str(definition.label)) for event, definition in webhook_event_types().items())
    return sorted(choices, key=lambda choice: choice[1].casefold())


def _parse_form(request: AuthenticatedRequest) -> WebhookEndpointInput:
    form = request.POST
    # No event has an empty name: somebody meant some events and ticked none, which must not become all.
    events = (form.getlist("events") or [""]) if form.get("which") == "some" else []
    division_ids = [*filter(None, map(id_of, form.getlist("divisions")))]
    # No division is 0: somebody meant some divisions and ticked none, which must not become all.
    divisions = (division_ids or [0]) if form.get("where") == "some" else []
    return WebhookEndpointInput(form.get("name", ""), form.get("url", ""), events, divisions)


def _webhook_or_404(request: AuthenticatedRequest, webhook_id: int) -> WebhookEndpoint:
    try:
        return endpoints.get_webhook(request.actor, webhook_id)
    except NoSuchWebhook:
        raise Http404 from None


def _redirect(webhook_id: int) -> HttpResponseRedirect:
    return HttpResponseRedirect(reverse("webhooks:detail", args=[webhook_id]))
