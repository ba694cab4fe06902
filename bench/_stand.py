"""What engine benchmarks stand on: an own PostgreSQL that writes durably, the sandbox over HTTP, a firm that has consented.

Everything lies in a temporary folder and is gone afterwards. Work is done as the application role.
"""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from koppel.kit.embedded_postgres import Addresses, EmbeddedPostgres
from tests.fixtures.stack import Connected, Sandbox, register_app, run_sandbox

if TYPE_CHECKING:
    from tests.sync.syncing import Synced


@dataclass(frozen=True)
class Stand:
    """`superuser_url` reaches the same database, for sizes and for peers."""

    connected: Connected
    addresses: Addresses

    @property
    def sandbox(self) -> Sandbox:
        return self.connected.sandbox

    def company(self, place: int) -> "Synced":
        """The sandbox's company at `place`, imported; nothing has been read."""
        from tests.sync.syncing import import_company

        return import_company(self.connected, place)


@contextlib.contextmanager
def stand(*, companies: int, lines: int) -> Iterator[Stand]:
    """A company at place 1 of 2 has exactly `lines` entry lines."""
    with tempfile.TemporaryDirectory(prefix="koppel-bench-") as folder:
        home = Path(folder)
        with EmbeddedPostgres(home / "postgres") as server:
            _surround_django(server.addresses, home)
            with run_sandbox(companies=companies, lines=lines) as sandbox:
                yield Stand(_connected(sandbox), server.addresses)


def _surround_django(addresses: Addresses, home: Path) -> None:
    import django
    from django.core.management import call_command
    from django.db import connections

    os.environ |= {
        "DJANGO_SETTINGS_MODULE": "koppel.settings",
        "DATABASE_URL": addresses.app_url,
        "KOPPEL_OWNER_DATABASE_URL": addresses.owner_url,
        "KOPPEL_SECRET_KEY": "a-key-for-benchmarks-that-is-long-enough-for-every-check-of-django-0123456789",
        "KOPPEL_VAULT_KEYS": "bench:" + "QUFB" * 10 + "QUE=",
        "KOPPEL_MAIL_DIR": str(home),
        "KOPPEL_PUBLIC_URL": "http://localhost:8400",
        "KOPPEL_DATA_DIR": str(home / "data"),
    }
    django.setup()
    call_command("migrate", database="owner", verbosity=0, interactive=False)
    connections["owner"].close()


def _connected(sandbox: Sandbox) -> Connected:
    from koppel.connections.consent import begin_consent, complete_consent, receive_answer
    from koppel.connections.listing import refresh_companies
    from koppel.connections.models import Connection, ConsentPurpose
    from koppel.kit.tenancy import installation_scope, organisation_scope
    from koppel.organisations.models import Membership, Organisation, User
    from koppel.organisations.policy import Actor, Role

    with installation_scope("benchmark"):
        firm = Organisation.objects.create(name="Benchmark")
        user = User.objects.create_user("bench@example.test", "not used", name="Bench")
        member = Membership.objects.create(organisation=firm, user=user, role=Role.ADMINISTRATOR)
    actor = Actor(firm.pk, member.pk, user.pk, user.name, Role.ADMINISTRATOR)
    app = register_app(sandbox)
    with organisation_scope(firm.pk):
        url = begin_consent(actor, app.pk, ConsentPurpose.CONNECT, "/connections/")
    inbound = sandbox.sign_in(url)
    attempt = receive_answer(inbound["state"], inbound)
    assert attempt is not None
    outcome = complete_consent(actor, attempt)
    refresh_companies(actor, outcome.connection_id)
    with organisation_scope(firm.pk):
        return Connected(actor, app, Connection.objects.get(pk=outcome.connection_id), sandbox)
