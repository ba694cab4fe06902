"""An organisation with two administrations, an issue, a notification, a division and a template."""

from dataclasses import dataclass
from typing import Any

from django.test import Client
from django.utils import timezone

from koppel.administrations.models import Administration
from koppel.audit.subjects import Subject, SubjectKind
from koppel.connections.models import AppRegistration, Connection
from koppel.connector.registry import connectors
from koppel.issues.models import Issue
from koppel.issues.services import raise_issue
from koppel.kit.encryption import Secret
from koppel.kit.encryption.fields import encrypt_column
from koppel.kit.tenancy import organisation_scope
from koppel.notifications.events.services import notify_members
from koppel.notifications.models import WebhookDelivery
from koppel.notifications.webhooks import endpoints
from koppel.notifications.webhooks.inputs import WebhookInput
from koppel.organisations.groups.divisions import create_division
from koppel.organisations.groups.inputs import DivisionInput, TemplateInput
from koppel.organisations.groups.settings_templates import create_template
from koppel.organisations.models import Division, Organisation, Template, User
from koppel.organisations.roles import Actor, Role
from koppel.sync.models import Change, Run, RunResource
from tests.books.factories import administration_of, assign

IMPORT = 7


@dataclass(kw_only=True)
class World:
    admin: Actor
    people: dict[str, Actor]
    bystander: Actor
    active: Administration
    configuring: Administration
    division: Division
    template: Template
    run_id: int
    webhook_id: int
    issue_id: int

    def client(self, role: str, language: str = "en") -> Client:
        """A browser in which this person is signed in and reads this language."""
        client = Client(raise_request_exception=True)
        client.force_login(User.objects.get(pk=self.people[role].user_id))
        client.cookies["koppel_language"] = language
        return client


def build_world(actor: Any) -> World:
    """Everybody is a member; the administrations are assigned to all of them."""
    admin = actor("administrator")
    with organisation_scope(admin.organisation_id):
        firm = Organisation.objects.get(pk=admin.organisation_id)
    people = {
        role: admin if role == "administrator" else actor(role, organisation=firm) for role in Role.values
    }
    with organisation_scope(admin.organisation_id):
        create_division(admin, DivisionInput(name="Zuid"))
        create_template(admin, TemplateInput(name="Standard", settings={"fiscal_years_back": 3}))
        division, template = Division.objects.get(name="Zuid"), Template.objects.get(name="Standard")
    active = administration_of(admin, number="69599084", country="NL", template=template, import_id=IMPORT)
    configuring = administration_of(
        _other(actor, firm), "Fjordheim AS", status="configuring", import_id=IMPORT
    )
    with organisation_scope(admin.organisation_id):
        vendor = next(iter(connectors()))
        Connection.objects.update(connector=vendor)
        for app in AppRegistration.objects.all():
            app.connector, app.client_secret = vendor, encrypt_column(app, "client_secret", Secret("s"))
            app.save()
    for person in people.values():
        assign(person, active)
        assign(person, configuring)
    with organisation_scope(admin.organisation_id):
        raise_issue(
            admin.organisation_id, "made_up_by_a_test", Subject(SubjectKind.ADMINISTRATION, active.pk)
        )
        issue_id = Issue.objects.get(code="made_up_by_a_test").pk
        notify_members(
            admin.organisation_id,
            "made_up_by_a_test",
            [person.membership_id for person in people.values()],
            {},
        )
    bystander = actor("user", organisation=firm, name="Kees Bos")
    return World(
        admin=admin,
        people=people,
        bystander=bystander,
        active=active,
        configuring=configuring,
        division=division,
        template=template,
        run_id=changed_run(active),
        webhook_id=_webhook(admin),
        issue_id=issue_id,
    )


LONG = "Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft"
"""80 letters without a space."""


def lengthen_names(world: World) -> None:
    """Name everything by one word of 80 letters, and let there be more divisions than fit a page."""
    tenant = {"organisation_id": world.admin.organisation_id}
    with organisation_scope(world.admin.organisation_id):
        Administration.objects.filter(pk=world.active.pk).update(name=LONG, client_number="K" * 30)
        Administration.objects.filter(pk=world.configuring.pk).update(division=world.division)
        Connection.objects.update(account=f"voornaam.achternaam@{LONG.lower()}.example")
        Division.objects.filter(pk=world.division.pk).update(name=LONG)
        Template.objects.filter(pk=world.template.pk).update(name=LONG)
        Division.objects.bulk_create(
            Division(**tenant, name=f"Vestiging {number:02}") for number in range(40)
        )
    person = User.objects.get(pk=world.bystander.user_id)
    person.name, person.email = LONG, f"johannes.maximiliaan@{LONG.lower()}.example"
    person.save()
    User.objects.filter(pk=world.admin.user_id).update(name=LONG)


def changed_run(administration: Administration) -> int:
    """A finished run that changed an account of a closed year and dropped another. Its id."""
    before = b'{"accountCD":"1000","type":"Asset","description":"Kas","active":true}'
    after = before.replace(b'"Kas"', b'"Kas en bank"')
    tenant_keys = {"organisation_id": administration.organisation_id, "administration_id": administration.pk}
    with organisation_scope(administration.organisation_id):
        run = Run.objects.create(**tenant_keys, trigger="schedule", state="succeeded", attempt=1)
        RunResource.objects.create(
            organisation_id=administration.organisation_id,
            run=run,
            resource="accounts",
            position=0,
            state="done",
            mode="full",
            rows=40,
            changed=1,
            deleted=1,
        )
        common = {
            **tenant_keys,
            "run_id": run.pk,
            "resource": "accounts",
            "at": timezone.now(),
            "before": before,
        }
        Change.objects.create(**common, external_id="1000", kind="changed", after=after)
        Change.objects.create(
            **common, external_id="1010", kind="deleted", period="202512", in_closed_period=True
        )
    return run.pk


def _webhook(admin: Actor) -> int:
    """With a message that was not accepted."""
    with organisation_scope(admin.organisation_id):
        webhook, _secret = endpoints.create_webhook(
            admin, WebhookInput(name="Tickets", url="https://tickets.example.test/hook")
        )
        WebhookDelivery.objects.create(
            organisation_id=admin.organisation_id,
            webhook=webhook,
            message_id="msg_1",
            event_type="sync_failing",
            body='{"a":1}',
            state="failed",
            attempts=10,
            response_status=502,
            reason="refused",
            response_body="Bad gateway",
            duration_ms=120,
        )
    return webhook.pk


def _other(actor: Any, firm: Organisation) -> Actor:
    return actor("administrator", organisation=firm, name="Piet Jansen")  # type: ignore[no-any-return]
