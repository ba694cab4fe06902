"""The pages of webhooks: which there are, and one with its log."""

from django.contrib import messages
from django.http import Http404, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_POST

from koppel.kit.parameters import id_of, one_of
from koppel.kit.secrets import Secret
from koppel.notifications.catalogue import events_of_webhooks
from koppel.notifications.errors import NoSuchWebhook
from koppel.notifications.models import DeliveryState, Webhook, WebhookDelivery
from koppel.notifications.webhooks import endpoints
from koppel.notifications.webhooks.endpoints import Wanted
from koppel.notifications.webhooks.words import sentence_of
from koppel.organisations.directory import divisions_of
from koppel.organisations.errors import Refused
from koppel.web.doors import MemberRequest, takes

SHOWN = 100
SHOWN_STATES = (DeliveryState.FAILED.value, DeliveryState.WAITING.value, DeliveryState.SENT.value)


@takes()
def listing(request: MemberRequest) -> HttpResponse:
    """All of them, and the form for a new one."""
    webhooks = endpoints.webhooks_of(request.actor)
    typed = None
    if request.method == "POST":
        typed = _wanted(request)
        try:
            made, secret = endpoints.add(request.actor, typed)
            messages.success(request, _("The webhook is made. Test it now."))
            return _page(request, made, secret)
        except Refused as refusal:
            messages.error(request, str(refusal))
    context = {
        "place": "webhooks", "webhooks": [(one, _facts(one)) for one in webhooks], "events": _events(),
        "typed": typed, "chosen": set(typed.events) if typed else set(), "divisions": divisions_of(request.actor),
        "chosen_divisions": set(typed.divisions) if typed else set(),
    }  # fmt: skip
    return render(request, "notifications/webhooks.html", context)


@takes(state=one_of(*SHOWN_STATES))
def one(request: MemberRequest, webhook_id: int) -> HttpResponse:
    """Its settings, its secret and what became of its messages."""
    webhook = _webhook(request, webhook_id)
    if request.method == "POST":
        try:
            endpoints.change(request.actor, webhook_id, _wanted(request))
            messages.success(request, _("Saved."))
        except Refused as refusal:
            messages.error(request, str(refusal))
        return _back(webhook_id)
    return _page(request, webhook, None)


@takes(state=one_of(*SHOWN_STATES))
def log(request: MemberRequest, webhook_id: int) -> HttpResponse:
    """The log alone, for as long as something is on its way."""
    return render(request, "notifications/webhook_log.html", _log(request, _webhook(request, webhook_id)))


@require_POST
def act(request: MemberRequest, webhook_id: int) -> HttpResponse:
    """Test, switch, a new secret, remove."""
    webhook, what = _webhook(request, webhook_id), request.POST.get("act", "")
    try:
        if what == "test":
            endpoints.send_test(request.actor, webhook_id)
            messages.success(request, _("A test is on its way; the log shows what comes back."))
        elif what in ("on", "off"):
            endpoints.switch(request.actor, webhook_id, on=what == "on")
        elif what == "secret":
            secret = endpoints.renew_secret(request.actor, webhook_id)
            return _page(request, _webhook(request, webhook_id), secret)
        elif what == "remove":
            endpoints.remove(request.actor, webhook_id)
            messages.success(request, _("The webhook “%(name)s” is removed.") % {"name": webhook.name})
            return HttpResponseRedirect(reverse("webhooks:list"))
    except Refused as refusal:
        messages.error(request, str(refusal))
    return _back(webhook_id)


@require_POST
def again(request: MemberRequest, webhook_id: int) -> HttpResponse:
    """Send one message again, or all that failed."""
    _webhook(request, webhook_id)
    named = request.POST.get("id", "")
    chosen = [key] if (key := id_of(named)) else None
    try:
        count = endpoints.redeliver(request.actor, webhook_id, chosen)
        words = ngettext("%(count)d message is sent again.", "%(count)d messages are sent again.", count)
        messages.success(request, words % {"count": count})
    except Refused as refusal:
        messages.error(request, str(refusal))
    return _back(webhook_id)


def _page(request: MemberRequest, webhook: Webhook, secret: Secret | None) -> HttpResponse:
    """With the secret, the one time that it is shown."""
    context = {
        "place": "webhooks", "webhook": webhook, "facts": _facts(webhook), "events": _events(), "typed": webhook,
        "chosen": set(webhook.events), "chosen_divisions": set(webhook.divisions),
        "divisions": divisions_of(request.actor), "secret": secret.reveal() if secret else "",
        "signs_twice": webhook.previous_until if secret else None,
        **_log(request, webhook),
    }  # fmt: skip
    answer = render(request, "notifications/webhook.html", context)
    if secret:
        answer["Cache-Control"] = "no-store"
    return answer


def _log(request: MemberRequest, webhook: Webhook) -> dict[str, object]:
    state = request.parameters["state"] or ""
    found = endpoints.log_of(request.actor, webhook.pk, state=state, limit=SHOWN)
    own = WebhookDelivery.objects.filter(organisation_id=webhook.organisation_id, webhook=webhook)
    names = {event: str(entry.label) for event, entry in events_of_webhooks().items()}
    return {
        "webhook": webhook,
        "state": state,
        "deliveries": [(one, names.get(one.event, one.event), sentence_of(one.reason)) for one in found],
        "failed": own.filter(state=DeliveryState.FAILED).count(),
        "is_busy": any(one.state == DeliveryState.CLAIMED or _is_fresh(one) for one in found),
        "is_cut": len(found) == SHOWN,
    }


def _is_fresh(one: WebhookDelivery) -> bool:
    return one.state == DeliveryState.WAITING and one.attempts == 0


def _facts(webhook: Webhook) -> dict[str, str]:
    return {"stopped": sentence_of(webhook.stopped_because)}


def _events() -> list[tuple[str, str]]:
    found = ((event, str(entry.label)) for event, entry in events_of_webhooks().items())
    return sorted(found, key=lambda one: one[1].casefold())


def _wanted(request: MemberRequest) -> Wanted:
    form = request.POST
    # No event has an empty name: somebody meant some events and ticked none, which must not become all.
    events = (form.getlist("events") or [""]) if form.get("which") == "some" else []
    chosen = [*filter(None, map(id_of, form.getlist("divisions")))]
    # No division is 0: somebody meant some divisions and ticked none, which must not become all.
    divisions = (chosen or [0]) if form.get("where") == "some" else []
    return Wanted(form.get("name", ""), form.get("url", ""), events, divisions)


def _webhook(request: MemberRequest, webhook_id: int) -> Webhook:
    try:
        return endpoints.webhook_for(request.actor, webhook_id)
    except NoSuchWebhook:
        raise Http404 from None


def _back(webhook_id: int) -> HttpResponseRedirect:
    return HttpResponseRedirect(reverse("webhooks:one", args=[webhook_id]))
