"""Pages of webhooks: the list, and one webhook with its log."""

from django.contrib import messages
from django.http import HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from koppel.kit.encryption import Secret
from koppel.kit.web.decorators import action_of, query_parameters
from koppel.kit.web.parameters import one_of
from koppel.notifications.event_types import webhook_event_types
from koppel.notifications.models import DeliveryState, WebhookDelivery, WebhookEndpoint
from koppel.notifications.webhooks import delivery_log, endpoint_state, endpoints
from koppel.notifications.webhooks.forms import RedeliverForm, WebhookForm
from koppel.notifications.webhooks.reasons import reason_text
from koppel.organisations.people.list import divisions_of
from koppel.organisations.requests import AuthenticatedRequest, recent_sign_in_required

DELIVERIES_SHOWN = 100
SHOWN_STATES = (DeliveryState.FAILED.value, DeliveryState.WAITING.value, DeliveryState.SENT.value)


@query_parameters()
def list_webhooks(request: AuthenticatedRequest) -> HttpResponse:
    """Show the webhooks and the form for a new one."""
    form = WebhookForm.of(request)
    webhooks = endpoints.list_webhooks(request.actor)
    if request.method == "POST":
        with form.refusals():
            webhook, secret = endpoints.create_webhook(request.actor, form.input)
            messages.success(request, _("Webhook created. Test it now."))
            return _page(request, webhook, secret)
    context = {
        "nav_section": "webhooks",
        "webhooks": webhooks,
        **_form_context(request, form, None),
    }
    return render(request, "notifications/webhooks.html", context)


@query_parameters(state=one_of(*SHOWN_STATES))
def show_webhook(request: AuthenticatedRequest, webhook_id: int) -> HttpResponse:
    """Show a webhook's settings, secret and log."""
    webhook, form = endpoints.get_webhook(request.actor, webhook_id), WebhookForm.of(request)
    if request.method == "POST":
        with form.refusals():
            endpoints.change_webhook(request.actor, webhook_id, form.input)
            messages.success(request, _("Saved."))
            return _redirect(webhook_id)
    return _page(request, webhook, None, state=request.parameters["state"] or "", form=form)


@query_parameters(state=one_of(*SHOWN_STATES))
def show_log(request: AuthenticatedRequest, webhook_id: int) -> HttpResponse:
    """Show the log alone; the page reloads it while messages are under way."""
    webhook = endpoints.get_webhook(request.actor, webhook_id)
    return render(
        request, "notifications/webhook_log.html", _log(request, webhook, request.parameters["state"] or "")
    )


@action_of("webhooks:detail", "webhook_id")
def send_test(request: AuthenticatedRequest, webhook_id: int) -> HttpResponse:
    """Send a test message."""
    delivery_log.send_test(request.actor, webhook_id)
    messages.success(request, _("Test sent. The log shows the answer."))
    return _redirect(webhook_id)


@action_of("webhooks:detail", "webhook_id")
def enable_webhook(request: AuthenticatedRequest, webhook_id: int) -> HttpResponse:
    """Enable a webhook."""
    endpoint_state.enable(request.actor, webhook_id)
    return _redirect(webhook_id)


@action_of("webhooks:detail", "webhook_id")
def disable_webhook(request: AuthenticatedRequest, webhook_id: int) -> HttpResponse:
    """Disable a webhook."""
    endpoint_state.disable(request.actor, webhook_id)
    return _redirect(webhook_id)


@action_of("webhooks:detail", "webhook_id")
@recent_sign_in_required
def rotate_secret(request: AuthenticatedRequest, webhook_id: int) -> HttpResponse:
    """Replace the secret and show the new one this once."""
    secret = endpoints.rotate_secret(request.actor, webhook_id)
    return _page(request, endpoints.get_webhook(request.actor, webhook_id), secret)


@action_of("webhooks:detail", "webhook_id")
def remove_webhook(request: AuthenticatedRequest, webhook_id: int) -> HttpResponse:
    """Remove a webhook with its log."""
    webhook = endpoints.get_webhook(request.actor, webhook_id)
    endpoints.remove_webhook(request.actor, webhook_id)
    messages.success(request, _("Webhook “%(name)s” removed.") % {"name": webhook.name})
    return HttpResponseRedirect(reverse("webhooks:list"))


@action_of("webhooks:detail", "webhook_id")
def redeliver(request: AuthenticatedRequest, webhook_id: int) -> HttpResponse:
    """Send one message again, or all that failed."""
    delivery_ids = RedeliverForm.of(request).input_or_refusal().ids
    count = delivery_log.redeliver(request.actor, webhook_id, delivery_ids)
    message = ngettext("Resending %(count)d message.", "Resending %(count)d messages.", count)
    messages.success(request, message % {"count": count})
    return _redirect(webhook_id)


def _page(
    request: AuthenticatedRequest,
    webhook: WebhookEndpoint,
    secret: Secret | None,
    *,
    state: str = "",
    form: WebhookForm | None = None,
) -> HttpResponse:
    """Return the page of a webhook, with its secret right after it was created or rotated. `state` filters
    the log.
    """
    context = {
        "nav_section": "webhooks",
        "webhook": webhook,
        "disabled_text": reason_text(webhook.disabled_reason),
        "secret": secret.reveal() if secret else "",
        "signs_twice": webhook.previous_until if secret else None,
        **_form_context(request, form or WebhookForm(), webhook),
        **_log(request, webhook, state),
    }
    response = render(request, "notifications/webhook.html", context)
    if secret:
        response["Cache-Control"] = "no-store"
    return response


def _log(request: AuthenticatedRequest, webhook: WebhookEndpoint, state: str) -> dict[str, object]:
    deliveries = delivery_log.list_deliveries(request.actor, webhook.pk, state=state, limit=DELIVERIES_SHOWN)
    all_deliveries = WebhookDelivery.objects.in_organisation(webhook.organisation_id).filter(webhook=webhook)
    names = {event: str(definition.label) for event, definition in webhook_event_types().items()}
    return {
        "webhook": webhook,
        "state": state,
        "deliveries": [
            (delivery, names.get(delivery.event_type, delivery.event_type), reason_text(delivery.reason))
            for delivery in deliveries
        ],
        "failed": all_deliveries.filter(state=DeliveryState.FAILED).count(),
        "is_busy": any(
            delivery.state == DeliveryState.CLAIMED or _is_unattempted(delivery) for delivery in deliveries
        ),
        "is_cut": len(deliveries) == DELIVERIES_SHOWN,
    }


def _is_unattempted(delivery: WebhookDelivery) -> bool:
    return delivery.state == DeliveryState.WAITING and delivery.attempts == 0


def _event_choices() -> list[tuple[str, str]]:
    choices = ((event, str(definition.label)) for event, definition in webhook_event_types().items())
    return sorted(choices, key=lambda choice: choice[1].casefold())


def _form_context(
    request: AuthenticatedRequest, form: WebhookForm, webhook: WebhookEndpoint | None
) -> dict[str, object]:
    """Return what the form shows: the submitted values, else the webhook's, else nothing."""
    if form.is_bound:
        typed: object = {"name": form["name"].value(), "url": form["url"].value()}
        events, division_ids = set(form["events"].value() or ()), set(form.cleaned_data.get("divisions", ()))
    else:
        typed = webhook
        events, division_ids = (set(webhook.events), set(webhook.divisions)) if webhook else (set(), set())
    return {
        "form": form,
        "typed": typed,
        "events": _event_choices(),
        "chosen": events,
        "only_some_events": form["which"].value() == "some" if form.is_bound else bool(events),
        "divisions": divisions_of(request.actor),
        "chosen_divisions": division_ids,
        "only_some_divisions": form["where"].value() == "some" if form.is_bound else bool(division_ids),
    }


def _redirect(webhook_id: int) -> HttpResponseRedirect:
    return HttpResponseRedirect(reverse("webhooks:detail", args=[webhook_id]))
