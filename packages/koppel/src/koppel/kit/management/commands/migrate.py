"""Django's `migrate`, with checks of the database's version and installation number."""

from typing import Any

from django.core.management.base import CommandError
from django.core.management.commands import migrate

from koppel.kit.tenancy.id_ranges import number_conflict
from koppel.kit.tenancy.migration_history import reason_unusable


class Command(migrate.Command):
    """Checks first: Django's own error would list migrations instead of what to do."""

    def handle(self, *args: Any, **options: Any) -> Any:
        if reason := reason_unusable(options["database"]):
            raise CommandError(reason)
        if conflict := number_conflict(options["database"]):
            raise CommandError(conflict)
        return super().handle(*args, **options)
