"""The address of every page, in the world of `tests.web.factories`, and the routes that are no pages.

`test_page_table.py` compares both with the routes: a new page fails there until it has its line here.
"""

import re
from collections.abc import Iterable, Sequence
from datetime import timedelta

from django.utils import timezone

from koppel.administrations import bulk
from koppel.connections.models import RemoteCompany
from koppel.kit.tenancy import organisation_scope
from koppel.onboarding.models import Flow, Step, TypedIdentity
from koppel.organisations.invitations import services as invitations
from koppel.organisations.invitations.inputs import InvitationInput
from tests.books.factories import Ledger
from tests.web.factories import IMPORT, World

COMPANIES = ("Garage Öberg B.V.", "Stichting Zorg in de Wijk", "Holding Smit")
NOWHERE = "/administrations/987654/"
PUBLIC = {
    "sign-in": "/accounts/login/",
    "sign-in-by-email": "/sign-in/",
    "password-reset": "/accounts/password/reset/",
    "password-reset-sent": "/accounts/password/reset/done/",
    "password-reset-link": "/accounts/password/reset/key/x-y/",
    "password-reset-over": "/accounts/password/reset/key/done/",
    "inactive": "/accounts/inactive/",
}
"""For people who did not sign in."""
NOT_PAGES = {
    "/accounts/2fa/authenticate/": "leads to the page of signing in",
    "/accounts/2fa/recovery-codes/": "leads to the second step until there is one",
    "/accounts/2fa/recovery-codes/download/": "a file",
    "/accounts/2fa/recovery-codes/generate/": "leads to the second step until there is one",
    "/accounts/2fa/totp/deactivate/": "leads to the second step until there is one",
    "/accounts/2fa/reauthenticate/": "leads to the password until there is a second step",
    "/accounts/2fa/webauthn/keys/{pk}/edit/": "of a passkey, which needs a device",
    "/accounts/2fa/webauthn/keys/{pk}/remove/": "of a passkey, which needs a device",
    "/accounts/2fa/webauthn/login/": "data",
    "/accounts/2fa/webauthn/reauthenticate/": "data",
    "/accounts/password/set/": "leads to the change of a password",
    "/administrations/bulk/{operation_id}/progress": "a part of a page",
    "/administrations/export.{file_format}": "a file",
    "/administrations/rows/": "a part of a page",
    "/administrations/{administration_id}/books/chart/": "a part of a page",
    "/administrations/{administration_id}/books/export/": "a file",
    "/administrations/{administration_id}/identity/card": "a part of a page",
    "/administrations/{administration_id}/peek": "a part of a page",
    "/connections/consent/callback": "leads on from the vendor",
    "/connections/consent/done": "leads on from the vendor",
    "/connections/new/{token}/": "leads to the step of the wizard",
    "/connections/new/{token}/companies.json": "data",
    "/connections/new/{token}/identify/template.csv": "a file",
    "/connections/new/{token}/row-states.json": "data",
    "/connections/new/{token}/sectors.json": "data",
    "/help/images/{name}": "a file",
    "/notifications/unsubscribe/{token}": "a link in an email, with its own test",
    "/notifications/{notification_id}/": "leads to what it is about",
    "/operator/": "for an operator, with its own test",
    "/operator/replacement": "for an operator, with its own test",
    "/replacement/{token}/": "for a copy of the installation, with its own test",
    "/replacement/{token}/grants": "for a copy of the installation, with its own test",
    "/organisation/colour/{colour}": "a file",
    "/organisation/logo/{digest}": "a file",
    "/organisation/security/domains": "leads to the page of security",
    "/organisation/security/provider": "leads to the page of security",
    "/organisation/security/support": "leads to the page of security",
    "/organisation/settings/branding": "leads to the settings",
    "/organisation/webhooks/{webhook_id}/log": "a part of a page",
    "/registers/sectors": "data",
    "/search/": "a part of a page",
    "/sign-in/{provider_id}/": "leads to the identity provider",
    "/sign-in/{provider_id}/callback": "leads on from the identity provider",
    "/sign-in/{provider_id}/link": "with an identity provider, which has its own test",
}
"""Routes of GET, and why they have no picture."""


def pages(world: World) -> dict[str, str]:
    """Return the address of each page of a member, by name."""
    administration_path = f"/administrations/{world.active.pk}"
    return {
        "dashboard": "/",
        "administrations": "/administrations/",
        "import": f"/administrations/?import={IMPORT}",
        "overview": f"{administration_path}/",
        "identity": f"{administration_path}/identity/",
        "settings-of-one": f"{administration_path}/settings/",
        "history": f"{administration_path}/history/",
        "books": f"{administration_path}/books/",
        "trial-balance": f"{administration_path}/books/trial-balance/",
        "trial-balance-periods": f"{administration_path}/books/trial-balance/?view=periods",
        "account": f"{administration_path}/books/account/1000/",
        "entry": f"{administration_path}/books/entry/GL1/?account=1000",
        "entries": f"{administration_path}/books/entries/",
        "contacts": f"{administration_path}/books/contacts/",
        "books-found-none": f"{administration_path}/books/contacts/?q=zz",
        "import-progress": f"/imports/{IMPORT}/",
        "sync": f"{administration_path}/sync/",
        "sync-run": f"{administration_path}/sync/runs/{world.run_id}/",
        "sync-changes": f"{administration_path}/sync/changes/",
        "changes": "/changes/?period=7days",
        "issues": "/issues/",
        "issue": f"/issues/{world.issue_id}/",
        "notices": "/notifications/",
        "notices-unread": "/notifications/?show=unread",
        "notices-preferences": "/notifications/preferences/",
        "people": "/organisation/people/",
        "divisions": "/organisation/divisions/",
        "division": f"/organisation/divisions/{world.division.pk}/",
        "templates": "/organisation/templates/",
        "template": f"/organisation/templates/{world.template.pk}/",
        "edit": f"{administration_path}/edit/",
        "ending": f"{administration_path}/offboarding/",
        "bulk-csv": "/administrations/bulk/csv/",
        "bulk-list": "/administrations/bulk/",
        "restricted": "/administrations/restricted/",
        "filtered": f"/administrations/?status=active&division={world.division.pk}"
        "&sort=-name&columns=name.client.people",
        "person": f"/organisation/people/{world.bystander.membership_id}/",
        "invite": "/organisation/people/invite/",
        "invite-many": "/organisation/people/invite/many/",
        "security": "/organisation/security/",
        "sessions": "/account/sessions/",
        "activity": "/organisation/activity/",
        "settings": "/organisation/settings/",
        "webhooks": "/organisation/webhooks/",
        "webhook": f"/organisation/webhooks/{world.webhook_id}/",
        "tokens": "/account/tokens/",
        "api": "/account/api/",
        "organisations": "/account/organisations/",
        "second-step-needed": "/account/second-step/",
        "password": "/accounts/password/change/",
        "password-again": "/accounts/reauthenticate/",
        "two-steps": "/accounts/2fa/",
        "authenticator-app": "/accounts/2fa/totp/activate/",
        "passkeys": "/accounts/2fa/webauthn/",
        "passkey-new": "/accounts/2fa/webauthn/add/",
        "sign-out": "/accounts/logout/",
        "help": "/help/",
        "help-page": "/help/getting-started/",
        "styleguide": "/styleguide/",
        "apps": "/connections/apps/",
        "wizard-system": "/connections/new/",
        "not-found": NOWHERE,
    }


def all_pages(world: World) -> dict[str, str]:
    return {
        **PUBLIC,
        **pages(world),
        **pages_of_connections(world),
        **pages_of_work_in_progress(world),
    }


def pages_of_connections(world: World) -> dict[str, str]:
    path = f"/connections/{world.active.connection_id}/"
    return {
        "connections": "/connections/",
        "connection": path,
        "connection-remove": f"{path}remove/",
        "connection-import": f"/connections/new/import?connection={world.active.connection_id}",
        "connections-reconnect-all": "/connections/reconnect/",
        "connections-offboarding": f"/connections/offboarding/{world.configuring.connection.owner_id}/",
    }


def pages_of_work_in_progress(world: World) -> dict[str, str]:
    """Begin an import through the wizard, a bulk action and an invitation, and return their pages."""
    wizard_path = f"/connections/new/{_flow(world).token}"
    with organisation_scope(world.admin.organisation_id):
        selection = bulk.Selection(ids=[world.active.pk, world.configuring.pk])
        draft = bulk.preview(world.admin, "change", {"division": world.division.pk}, selection)
        invitation = invitations.invite(world.admin, InvitationInput(email="new@example.test"))
        link = invitations.link_of(invitation)
    return {
        **{f"wizard-{step}": f"{wizard_path}/{step}" for step in ("sign-in", "choose", "identify", "assign")},
        "bulk-draft": f"/administrations/bulk/{draft.pk}/",
        "invitation": "/invitation/" + link.partition("/invitation/")[2],
    }


def pages_of_many(world: World, ids: Sequence[int]) -> dict[str, str]:
    """Begin an import of as many companies, change all administrations at once and prepare to do so again."""
    wizard_path = f"/connections/new/{_flow(world, [f'Bakkerij {number:04} B.V.' for number in ids]).token}"
    with organisation_scope(world.admin.organisation_id):
        selection = bulk.Selection(ids=list(ids))
        done = bulk.preview(world.admin, "change", {"client_number": "K1"}, selection)
        bulk.start_operation(world.admin, done.pk)
        while bulk.process_chunk(world.admin.organisation_id, done.pk):
            pass
        draft = bulk.preview(world.admin, "change", {"division": world.division.pk}, selection)
    return {
        **{f"many-wizard-{step}": f"{wizard_path}/{step}" for step in ("choose", "identify", "assign")},
        "many-bulk-draft": f"/administrations/bulk/{draft.pk}/",
        "many-bulk-result": f"/administrations/bulk/{done.pk}/",
        "many-activity": "/organisation/activity/",
        "many-changed": "/changes/?period=7days",
    }


def _flow(world: World, names: Sequence[str] = COMPANIES) -> Flow:
    """A flow of the administrator that got as far as the last step, with companies of which some have no
    number yet.
    """
    now = timezone.now()
    tenant = {"organisation_id": world.admin.organisation_id}
    with organisation_scope(world.admin.organisation_id):
        connection = world.active.connection
        connection.refresh_from_db()
        grant_id = RemoteCompany.objects.filter(connection=connection).values_list("grant_id")[0][0]
        companies = RemoteCompany.objects.bulk_create(
            RemoteCompany(
                **tenant,
                connection=connection,
                grant_id=grant_id,
                external_id=f"wizard{len(names)}-{number}",
                name=name,
                country="NL",
                base_currency="EUR",
                is_listed=True,
                last_listed_at=now,
                described_at=now,
            )
            for number, name in enumerate(names)
        )
        ids = [company.pk for company in companies]
        return Flow.objects.create(
            **tenant,
            membership_id=world.admin.membership_id,
            connector=connection.connector,
            app=connection.app,
            connection=connection,
            connection_ids=[connection.pk],
            step=Step.ASSIGN,
            chosen_company_ids=ids,
            offered_company_ids=ids,
            typed_identities={ids[0]: TypedIdentity(number="69599084"), ids[1]: TypedIdentity(number="1234")},
            expires_at=now + timedelta(days=1),
        )


def add_books(world: World, amount: str = "1234567.89") -> None:
    """Give the active administration entries, and an account that differs from what the source states."""
    ledger = Ledger(world.active)
    ledger.account("1000", "Bank")
    ledger.account("8000", "Omzet", "income")
    ledger.contact("10", "Bakkerij Vos")
    ledger.balance("1000", "202602", "0", "12.34")
    for number, period in enumerate(("202601", "202602"), start=1):
        lines = (("1000", amount, "0"), ("8000", "0", amount))
        ledger.entry(str(number), period, *lines, contact="10")


def unlisted(routes: Iterable[str], addresses: Iterable[str]) -> set[str]:
    """Return the routes that neither an address nor `NOT_PAGES` covers."""
    listed = {_route_of(address.partition("?")[0], set(routes)) for address in addresses}
    return set(routes) - listed - NOT_PAGES.keys()


def _route_of(path: str, routes: set[str]) -> str:
    """Return the route with the fewest words to fill in that fits."""
    for route in sorted(routes, key=lambda route: route.count("{")):
        if re.fullmatch("[^/]+".join(map(re.escape, re.split(r"\{\w+\}", route))), path):
            return route
    raise ValueError(f"{path} has no route.")
