"""The end of an import: every administration was read, failed or was stopped."""

from django.urls import reverse

from koppel.administrations.models import Administration, Status
from koppel.administrations.queries import attention_condition
from koppel.kit.database.locks import LockName, lock_until_commit
from koppel.notifications.events.keys import EventKey
from koppel.notifications.events.services import open_event
from koppel.sync.event_types import SyncEvent


def notify_import_finished(organisation_id: int, administration_id: int) -> None:
    """Notify the importer once, when every administration of the import has ended its first sync.

    Later syncs do not count, not even the first one after a reconnect. In the caller's transaction and scope.
    """
    administrations = Administration.objects.in_organisation(organisation_id)
    import_id = administrations.values_list("import_id", flat=True).get(pk=administration_id)
    if import_id is None:
        return
    lock_until_commit(LockName.IMPORT_COMPLETION, import_id)
    of_import = administrations.filter(import_id=import_id)
    if of_import.filter(status__in=[Status.QUEUED, Status.CONFIGURING]).exists():
        return
    importer = of_import.values_list("imported_by_id", flat=True).first()
    rows = list(of_import.values_list("pk", "name", "status"))
    others = set(of_import.filter(attention_condition(None)).values_list("pk", flat=True))
    active = {key for key, _name, status in rows if status == Status.ACTIVE}
    open_event(
        organisation_id,
        SyncEvent.IMPORT_FINISHED if active else SyncEvent.IMPORT_FAILED,
        EventKey("import", import_id),
        responsible=importer,
        # Each recipient reads the sums of the administrations that they may see.
        administrations={
            key: {"name": name, "total": 1, "active": int(key in active), "others": int(key in others)}
            for key, name, _status in rows
        },
        context={"import": import_id},
        link=f"{reverse('administrations:list')}?import={import_id}",
    )
