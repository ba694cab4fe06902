"""Import, assignment and states, as the wizard and the engine use them."""

from typing import Any

import pytest

from koppel.administrations import services
from koppel.administrations.bulk import operations
from koppel.administrations.bulk.operations import Selection
from koppel.administrations.effective_settings import Source, effective_settings, find_problems
from koppel.administrations.inputs import SettingsInput
from koppel.administrations.models import Administration, Assignment, Status
from koppel.administrations.services import NewAdministration
from koppel.audit.models import AuditEntry
from koppel.connections.models import RemoteCompany
from koppel.kit.tenancy import organisation_scope
from koppel.organisations.errors import NotAllowed
from koppel.organisations.models import Division, DivisionMember, Organisation, Template
from koppel.organisations.roles import Actor
from tests.books.factories import administration_of


def colleague(actor: Any, admin: Actor, role: str) -> Actor:
    with organisation_scope(admin.organisation_id):
        firm = Organisation.objects.get(pk=admin.organisation_id)
    return actor(role, organisation=firm)


def add_two_companies(admin: Actor) -> tuple[int, list[int]]:
    """Create a connection that reaches one imported company and two others."""
    first = administration_of(admin)
    with organisation_scope(admin.organisation_id):
        grant_id = first.remote_company.grant_id
        company_ids = [
            RemoteCompany.objects.create(
                organisation_id=admin.organisation_id,
                connection=first.connection,
                grant_id=grant_id,
                external_id=name,
                name=name,
            ).pk
            for name in ("Noord B.V.", "Zuid B.V.")
        ]
    return first.connection_id, company_ids


def run_bulk_action(admin: Actor, action: str, administration: Administration) -> None:
    operation = operations.preview(admin, action, {}, Selection(ids=[administration.pk]))
    operations.start_operation(admin, operation.pk)


def test_import_assigns_administrators_and_the_importer(actor: Any) -> None:
    admin = actor("administrator")
    plus = colleague(actor, admin, "user_plus")
    connection_id, remotes = add_two_companies(admin)
    with organisation_scope(admin.organisation_id):
        ids = services.import_companies(plus, connection_id, 7, [NewAdministration(one) for one in remotes])
        assigned = set(
            Assignment.objects.filter(administration_id=ids[0]).values_list("membership_id", flat=True)
        )
        assert assigned == {admin.membership_id, plus.membership_id}
        assert set(Administration.objects.filter(pk__in=ids).values_list("status", flat=True)) == {
            Status.QUEUED
        }
        assert AuditEntry.objects.get(action="administrations.imported").details["administrations"] == ids


def test_repeated_requests_import_a_company_once(actor: Any) -> None:
    admin = actor("administrator")
    connection_id, remotes = add_two_companies(admin)
    new_administrations = [NewAdministration(one) for one in remotes]
    with organisation_scope(admin.organisation_id):
        first = services.import_companies(admin, connection_id, 1, new_administrations)
        second_ids = services.import_companies(
            admin, connection_id, 2, [*new_administrations, *new_administrations]
        )
        assert (len(first), second_ids) == (2, [])
        assert Administration.objects.filter(remote_company_id__in=remotes).count() == 2


def test_companies_of_another_connection_are_not_imported(actor: Any) -> None:
    admin = actor("administrator")
    _connection, remotes = add_two_companies(admin)
    other, _remotes = add_two_companies(actor("administrator"))
    with organisation_scope(admin.organisation_id):
        assert services.import_companies(admin, other, 1, [NewAdministration(one) for one in remotes]) == []


def test_a_user_may_not_import(actor: Any) -> None:
    user = actor("user")
    with organisation_scope(user.organisation_id), pytest.raises(NotAllowed):
        services.import_companies(user, 1, 1, [])


def test_members_of_a_division_see_its_administrations(actor: Any) -> None:
    admin = actor("administrator")
    user = colleague(actor, admin, "user")
    administration = administration_of(admin)
    tenant = {"organisation_id": admin.organisation_id}
    with organisation_scope(admin.organisation_id):
        north = Division.objects.create(**tenant, name="Noord")
        Administration.objects.update(division=north)
        assert not Administration.objects.visible_to(user).exists()
        DivisionMember.objects.create(**tenant, division=north, membership_id=user.membership_id)
        assert list(Administration.objects.visible_to(user)) == [administration]
        Administration.objects.update(restricted=True)
        assert not Administration.objects.visible_to(user).exists()


def test_deactivate_and_activate_keep_everything(actor: Any) -> None:
    admin = actor("administrator")
    administration = administration_of(admin)
    with organisation_scope(admin.organisation_id):
        services.mark_synced(admin.organisation_id, administration.pk, administration.created_at)
        run_bulk_action(admin, "deactivate", administration)
        services.set_status(admin.organisation_id, administration.pk, Status.FAILED, code="x")
        administration.refresh_from_db()
        assert administration.status == Status.DEACTIVATED
        run_bulk_action(admin, "activate", administration)
        administration.refresh_from_db()
        assert administration.status == Status.ACTIVE


def test_a_setting_comes_from_the_nearest_place(actor: Any) -> None:
    admin = actor("administrator")
    administration = administration_of(admin)
    with organisation_scope(admin.organisation_id):
        administration.template = Template(settings={"fiscal_years_back": 5, "schedule": "night"})
        services.change_settings(admin, administration.pk, SettingsInput(values={"fiscal_years_back": 2}))
        administration.settings = Administration.objects.get(pk=administration.pk).settings
        administration.organisation.settings = {"resources": ["accounts", "entries"], "schedule": "hourly_8"}
        settings = effective_settings(administration)
    assert (settings.fiscal_years_back, settings.sources["fiscal_years_back"]) == (2, Source.ADMINISTRATION)
    assert (settings.schedule, settings.sources["schedule"]) == ("night", Source.TEMPLATE)
    assert (settings.resources, settings.sources["notify"]) == (("accounts", "entries"), Source.DEFAULT)


def test_a_setting_disabled_by_the_organisation_stays_disabled(actor: Any) -> None:
    administration = administration_of(actor("administrator"))
    with organisation_scope(administration.organisation_id):
        administration.organisation.settings = {"resources": ["accounts"]}
        administration.settings = {"resources": ["accounts", "entries"]}
        assert effective_settings(administration).resources == ("accounts",)


@pytest.mark.parametrize(
    ("settings", "key"),
    [
        ({"resources": ["secrets"]}, "resources"),
        ({"fiscal_years_back": -1}, "fiscal_years_back"),
        ({"fiscal_years_back": "5"}, "fiscal_years_back"),
        ({"schedule": "sometimes"}, "schedule"),
        ({"full_comparison_weekday": 7}, "full_comparison_weekday"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_invalid_settings_are_named(settings: dict[str, Any], key: str) -> None:
    assert set(find_problems(settings)) == {key}
