"""What stands between an empty database and a running Koppel: migrations, in the demo also the firm."""

from dataclasses import asdict
from typing import Any

from koppel.cli.environment import OWNER_MISSING
from koppel.cli.stack import DemoAccounts, SignIn
from koppel.kit.cli.errors import CommandError


def migrate(*, verbosity: int = 0) -> None:
    """Bring the database up to this version, as the owner. Raises `CommandError` when it is not and we may not or cannot.

    After the last migration ranges of ids are set, rights granted and views made: by who finds none left to apply, if who did
    it died before."""
    import os  # noqa: PLC0415

    from django.core.management import call_command  # noqa: PLC0415

    from koppel.kit.tenancy.id_ranges import number_conflict  # noqa: PLC0415 - needs configured settings
    from koppel.kit.tenancy.migration_history import TOO_OLD, is_too_old  # noqa: PLC0415 - needs configured settings

    has_owner = bool(os.environ.get("KOPPEL_OWNER_DATABASE_URL"))
    alias = "owner" if has_owner else "default"
    if is_too_old(alias):
        raise CommandError(TOO_OLD)
    if sentence := number_conflict(alias):
        raise CommandError(sentence)
    if not pending_migrations(alias) and not (has_owner and _is_unfinished("owner")):
        return
    if not has_owner:
        raise CommandError(OWNER_MISSING)
    call_command("migrate", database="owner", verbosity=verbosity, interactive=False)


def _is_unfinished(alias: str) -> bool:
    """Whether what follows the migrations is missing, as the owner sees it."""
    from koppel.books.sql_access.views import views_are_missing  # noqa: PLC0415 - needs configured settings
    from koppel.kit.tenancy.id_ranges import ranges_are_missing  # noqa: PLC0415
    from koppel.kit.tenancy.privileges import grants_are_missing  # noqa: PLC0415

    return ranges_are_missing(alias) or grants_are_missing(alias) or views_are_missing(alias)


def pending_migrations(alias: str) -> list[str]:
    """`app.name` of the migrations that this version has and the database has not."""
    from django.db import connections  # noqa: PLC0415
    from django.db.migrations.executor import MigrationExecutor  # noqa: PLC0415

    executor = MigrationExecutor(connections[alias])
    plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    return [f"{migration.app_label}.{migration.name}" for migration, _backwards in plan]


def seed_demo(sandbox_url: str, public_url: str) -> dict[str, Any]:
    """Make the demo firm if it is not there. Answers with the facts to print: see the demo's facts."""
    from koppel.cli.demo import seed  # noqa: PLC0415
    from koppel.organisations.roles import Role  # noqa: PLC0415

    seed.seed(sandbox_url, public_url)
    people = tuple(
        SignIn(person.email, person.name, str(Role(person.role).label), seed.PASSWORD) for person in seed.PEOPLE
    )
    return asdict(DemoAccounts(people, seed.SANDBOX_USER, seed.SANDBOX_PASSWORD))


def quarantine_sentence() -> str:
    """What to say first of an installation in quarantine; '' of another."""
    from koppel.kit import quarantine  # noqa: PLC0415 - needs configured settings

    return str(quarantine.SENTENCE) if quarantine.current() else ""


def installation_state() -> str:
    """How far this installation is: `empty`, `waiting` or `ready`."""
    from koppel.organisations import bootstrap as organisation_bootstrap  # noqa: PLC0415

    return str(organisation_bootstrap.installation_state())
