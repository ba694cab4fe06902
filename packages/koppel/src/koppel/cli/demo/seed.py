"""A fictional firm to try Koppel with. Running it again changes nothing."""

from dataclasses import dataclass

from koppel.connections.app_registrations.services import register_app
from koppel.connections.models import AppRegistration
from koppel.kit.encryption import Secret
from koppel.kit.tenancy import installation_scope
from koppel.organisations.models import (
    Division,
    DivisionMember,
    Membership,
    Organisation,
    SettingsMap,
    Template,
    User,
)
from koppel.organisations.roles import Role

FIRM = "Voorbeeld Accountants (demo)"
PASSWORD = "koppel-demo"  # noqa: S105 - printed at the start of every demo
SANDBOX_USER = "demo@sandbox.example"
SANDBOX_PASSWORD = "sandbox"  # noqa: S105 - the sandbox's own, shown on its sign-in page


@dataclass(frozen=True, kw_only=True)
class DemoPerson:
    email: str
    name: str
    role: Role
    division: str | None


PEOPLE = (
    DemoPerson(email="admin@demo.example", name="Ada Beheer", role=Role.ADMINISTRATOR, division=None),
    DemoPerson(email="leader@demo.example", name="Lars Leider", role=Role.TEAM_LEADER, division="Noord"),
    DemoPerson(email="userplus@demo.example", name="Uma Plus", role=Role.USER_PLUS, division="Noord"),
    DemoPerson(email="user@demo.example", name="Ulf Gebruiker", role=Role.USER, division="Zuid"),
    DemoPerson(email="reader@demo.example", name="Rosa Lezer", role=Role.READER, division="Internationaal"),
)
DIVISIONS = ("Noord", "Zuid", "Internationaal")
TEMPLATES: dict[str, SettingsMap] = {
    "Standaard": {"fiscal_years_back": 1, "schedule": "daily"},
    "Alleen grootboek": {
        "resources": ["company_details", "periods", "accounts", "journals", "balances", "entries"]
    },
    "Nachtelijk, vijf jaar": {"fiscal_years_back": 5, "schedule": "night"},
}
CLIENT_SECRET = "koppel-demo-secret"  # noqa: S105 - known to the sandbox only
APPS = (
    ("isv_koppel_demo", "company_list"),
    ("isv_koppel_tenant", "company_per_sign_in"),
    ("isv_koppel_service", "service"),
)


def seed(sandbox_url: str, public_url: str) -> None:
    """Create firm, people, divisions, templates and the sandbox's app registrations. `public_url` is the
    address of sign-in.
    """
    with installation_scope("demo seed"):
        firm, created = Organisation.objects.get_or_create(name=FIRM)
        if created:
            _people_and_divisions(firm)
            Template.objects.bulk_create(
                Template(organisation=firm, name=name, settings=settings)
                for name, settings in TEMPLATES.items()
            )
        _apps(sandbox_url)


def _people_and_divisions(firm: Organisation) -> None:
    divisions = {name: Division.objects.create(organisation=firm, name=name) for name in DIVISIONS}
    for person in PEOPLE:
        user = User.objects.create_user(person.email, PASSWORD, name=person.name)
        member = Membership.objects.create(organisation=firm, user=user, role=person.role)
        if person.division:
            DivisionMember.objects.create(
                organisation=firm, division=divisions[person.division], membership=member
            )


def _apps(sandbox_url: str) -> None:
    """Renew base URLs at every start: the sandbox may listen on another port than last time."""
    base_urls = {"identity": sandbox_url, "api": sandbox_url, "legacy": sandbox_url}
    for client_id, mode in APPS:
        existing = AppRegistration.objects.filter(connector="visma_net", client_id=client_id)
        if existing.update(base_urls=base_urls) == 0:
            register_app(
                connector="visma_net",
                environment="sandbox",
                consent_mode=mode,
                client_id=client_id,
                client_secret=Secret(CLIENT_SECRET),
                base_urls=base_urls,
            )
