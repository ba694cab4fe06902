"""Creates an organisation with many administrations: for lists, bulk actions and benchmarks."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from django.utils import timezone

from koppel.administrations import restriction
from koppel.administrations.inputs import RestrictionInput
from koppel.administrations.models import Administration, Assignment
from koppel.connections.models import AppRegistration, Connection, Grant, RemoteCompany
from koppel.issues.models import Issue
from koppel.kit.tenancy import organisation_scope
from koppel.organisations.models import Division, Template
from koppel.organisations.roles import Actor

TRADES = (
    "Bakkerij",
    "Café",
    "Garage",
    "Holding",
    "Installatie",
    "Juwelier",
    "Kwekerij",
    "Slagerij",
    "Transport",
    "Zorg",
)
NAMES = (
    "De Haan",
    "Van Dam",
    "Öberg",
    "Jansen",
    "De Vries",
    "Sørensen",
    "Bakker",
    "Visser",
    "Smit",
    "Meijer",
    "Mulder",
)
STATUSES = ("active",) * 14 + ("configuring", "failed", "failed", "blocked", "deactivated", "queued")
SECTORS = "ACFGHIJKMNQR"


@dataclass(frozen=True, kw_only=True)
class Firm:
    admin: Actor
    ids: Sequence[int]
    divisions: Sequence[int]
    templates: Sequence[int]
    connections: Sequence[int]


def create_firm(admin: Actor, count: int, members: Sequence[int] = (), *, status: str = "") -> Firm:
    """Create `count` administrations of every kind.

    Each is assigned to the administrator by default, and to one of `members` by choice.
    """
    with organisation_scope(admin.organisation_id):
        tenant = {"organisation_id": admin.organisation_id}
        divisions = [
            Division.objects.create(**tenant, name=name).pk for name in ("Noord", "Oost", "Zuid", "West")
        ]
        templates = [Template.objects.create(**tenant, name=name).pk for name in ("Standard", "Nightly")]
        connections = [_connection(admin, f"kantoor{number}@example.test") for number in range(3)]
        remotes = RemoteCompany.objects.bulk_create(
            [
                RemoteCompany(
                    **tenant,
                    connection=connection_,
                    grant=grant,
                    external_id=f"c{number}",
                    name=name_of(number),
                    code=f"V{number:05}",
                )
                for number in range(count)
                for connection_, grant in (connections[number % 3],)
            ],
            batch_size=2000,
        )
        created = Administration.objects.bulk_create(
            [
                _administration(admin, remote, number, divisions, templates, status)
                for number, remote in enumerate(remotes)
            ],
            batch_size=1000,
        )
        ids = [administration.pk for administration in created]
        _assign(admin, ids, members)
        Issue.objects.bulk_create(
            [
                Issue(
                    **tenant,
                    code="sync_failed",
                    subject_kind="administration",
                    subject_id=administration_id,
                    context={},
                )
                for administration_id in ids[::9]
            ]
        )
    return Firm(
        admin=admin,
        ids=ids,
        divisions=divisions,
        templates=templates,
        connections=[connection_.pk for connection_, _grant in connections],
    )


def name_of(number: int) -> str:
    return f"{TRADES[number % len(TRADES)]} {NAMES[number % len(NAMES)]} {number} B.V."


def _connection(admin: Actor, account: str) -> tuple[Connection, Grant]:
    tenant = {"organisation_id": admin.organisation_id}
    app = AppRegistration.objects.create(
        **tenant,
        connector="scripted",
        environment="sandbox",
        consent_mode="company_list",
        client_id="c",
        client_secret=b"",
    )
    connection = Connection.objects.create(
        **tenant, connector="scripted", app=app, owner_id=admin.membership_id, account=account, state="active"
    )
    now = timezone.now()
    grant = Grant.objects.create(
        **tenant, connection=connection, subject="s", access_token=b"", issued_at=now, expires_at=now
    )
    return connection, grant


def _administration(
    admin: Actor,
    remote: RemoteCompany,
    number: int,
    divisions: Sequence[int],
    templates: Sequence[int],
    status: str,
) -> Administration:
    kind = status or STATUSES[number % len(STATUSES)]
    read = kind in ("active", "blocked", "deactivated")
    now = timezone.now()
    return Administration(
        organisation_id=admin.organisation_id,
        connection_id=remote.connection_id,
        remote_company=remote,
        name=remote.name,
        country="NL",
        base_currency="EUR",
        number=f"{60_000_000 + number}" if number % 7 else "",
        number_scheme="0106",
        client_number=f"K{number:06}" if number % 2 else "",
        sector=SECTORS[number % len(SECTORS)],
        sector_scheme="NACE-2.1",
        status=kind,
        division_id=divisions[number % 5] if number % 5 < len(divisions) else None,
        template_id=templates[number % 3] if number % 3 < len(templates) else None,
        imported_by_id=admin.membership_id,
        import_id=1 + number % 4,
        activated_at=now if read else None,
        complete_as_of=now - timedelta(hours=number % 400) if read else None,
    )


def _assign(admin: Actor, ids: Sequence[int], members: Sequence[int]) -> None:
    tenant = {"organisation_id": admin.organisation_id}
    pairs = [
        (administration_id, members[position % len(members)], False)
        for position, administration_id in enumerate(ids)
        if members
    ]
    pairs += [(administration_id, admin.membership_id, True) for administration_id in ids]
    Assignment.objects.bulk_create(
        [
            Assignment(
                **tenant, administration_id=administration_id, membership_id=member, automatic=automatic
            )
            for administration_id, member, automatic in dict.fromkeys(pairs)
        ],
        ignore_conflicts=True,
        batch_size=5000,
    )


def restrict(actor: Actor, administration_id: int, membership_ids: Sequence[int]) -> None:
    """Restrict an administration to these people."""
    data = RestrictionInput(restricted=True, people=list(membership_ids))
    restriction.set_access(actor, administration_id, data)
