"""How a run ends for people: the administration's state, issues, notices. Each use case is one transaction in scope.

Every sync passes here, most of them with nothing to tell: what all of them ask is SQL, which Django does not have to compile.
"""

from datetime import datetime

from django.db import connection

from koppel.administrations.effective_settings import settings_in_force
from koppel.administrations.models import Administration, Status
from koppel.administrations.services import mark, mark_complete
from koppel.connections.health.states import mark_lost
from koppel.connector.errors import ConnectorError
from koppel.issues.services import raise_issue, resolve_issues
from koppel.kit.tenancy import organisation_scope
from koppel.notifications.events.services import announce, settle_for
from koppel.sync.checks import check, is_due
from koppel.sync.engine.engine import Wanted
from koppel.sync.engine.error_policy import Next, Reaction
from koppel.sync.errors import Fenced
from koppel.sync.models import RunState
from koppel.sync.progress.import_completion import import_settled
from koppel.sync.runs.store import Held

_CLOSE = """
UPDATE sync_run SET state = %s, finished_at = now(), reason_code = %s, reason = %s
 WHERE organisation_id = %s AND id = %s AND attempt = %s AND state = 'running'
"""
_HOLD = """
SELECT 1 FROM sync_run
 WHERE organisation_id = %s AND id = %s AND attempt = %s AND state = 'running' FOR NO KEY UPDATE
"""
_COMPLETE_AS_OF = """
SELECT min(complete_as_of) FROM sync_checkpoint
 WHERE organisation_id = %s AND administration_id = %s AND resource = ANY(%s) AND available
"""
RUN_ISSUES = ("not_consented", "setup_missing", "contract_broken", "sync_failed", "database_errors")


def begin(held: Held) -> Wanted:
    """The settings in force; a first sync shows as configuring. Raises `Fenced` for one that was stopped meanwhile."""
    own = Administration.objects.filter(organisation_id=held.organisation_id, pk=held.administration_id)
    with organisation_scope(held.organisation_id):
        activated_at, here, template, organisation = own.values_list(
            "activated_at", "settings", "template__settings", "organisation__settings"
        ).get()
        if activated_at is None:
            if not _is_ours(held):
                raise Fenced
            mark(held.organisation_id, held.administration_id, Status.CONFIGURING)
        settings = settings_in_force(here, template or {}, organisation)
    return Wanted(settings.resources, settings.fiscal_years_back, settings.full_comparison_weekday)


def succeed(held: Held, wanted: Wanted) -> bool:
    """Every available resource that is wanted was read; the run is closed in the same transaction. False when the run is no
    longer ours, and then nothing is different."""
    subject = ("administration", held.administration_id)
    with organisation_scope(held.organisation_id):
        if not _close(held, RunState.SUCCEEDED, "", ""):
            return False
        first = mark_complete(held.organisation_id, held.administration_id, _complete_as_of(held, wanted))
        resolve_issues(held.organisation_id, subject, *RUN_ISSUES)
        settle_for(held.organisation_id, "sync_failing", _key(held), [held.administration_id])
        if first or is_due(held):
            check(held.organisation_id, held.administration_id)
        if first:
            import_settled(held.organisation_id, held.administration_id)
    return True


def fail(held: Held, reaction: Reaction, code: str, sentence: str, state: RunState = RunState.FAILED) -> None:
    """Over, and a person is needed. The run is closed and the person told in one transaction: a worker that dies here leaves
    both to its successor, and one that lost the run tells nothing."""
    subject = ("administration", held.administration_id)
    with organisation_scope(held.organisation_id):
        if not _close(held, state, code, sentence):
            return
        resolve_issues(held.organisation_id, subject, "database_errors")
        if reaction.next is Next.SIGN_IN:
            mark_lost(held.organisation_id, held.connection_id, sentence)
        if reaction.issue:
            raise_issue(held.organisation_id, reaction.issue, subject, {"reason": sentence, "code": code})
        administration = Administration.objects.get(organisation_id=held.organisation_id, pk=held.administration_id)
        status = Status.BLOCKED if reaction.next is Next.BLOCK else Status.FAILED
        if reaction.next is Next.BLOCK or administration.activated_at is None:
            mark(held.organisation_id, held.administration_id, status, code=code, reason=sentence)
        if reaction.next is not Next.SIGN_IN:
            _failing(held, administration.name, sentence)
        if administration.activated_at is None:
            import_settled(held.organisation_id, held.administration_id)


def tell_of_outage(held: Held, code: str) -> None:
    """Our own database has answered with errors for long; Koppel goes on trying. `code` is PostgreSQL's, if it gave one."""
    with organisation_scope(held.organisation_id):
        raise_issue(held.organisation_id, "database_errors", ("administration", held.administration_id), {"code": code})


def fail_of_error(held: Held, reaction: Reaction, error: ConnectorError) -> None:
    fail(held, reaction, error.code, str(error))


def _is_ours(held: Held) -> bool:
    """And stays ours until the caller's transaction ends."""
    with connection.cursor() as cursor:
        cursor.execute(_HOLD, [held.organisation_id, held.id, held.attempt])
        return cursor.fetchone() is not None


def _close(held: Held, state: RunState, code: str, sentence: str) -> bool:
    """False when the run is no longer ours."""
    with connection.cursor() as cursor:
        cursor.execute(_CLOSE, [state, code, sentence, held.organisation_id, held.id, held.attempt])
        return bool(cursor.rowcount == 1)


def _complete_as_of(held: Held, wanted: Wanted) -> datetime:
    """That of the resource which is furthest behind."""
    with connection.cursor() as cursor:
        cursor.execute(_COMPLETE_AS_OF, [held.organisation_id, held.administration_id, list(wanted.resources)])
        found: datetime = cursor.fetchone()[0]
        return found


def _failing(held: Held, name: str, sentence: str) -> None:
    """All that fails of one connection is one event, told when it has not healed by itself."""
    announce(
        held.organisation_id,
        "sync_failing",
        _key(held),
        about=("connection", held.connection_id),
        administrations={held.administration_id: {"name": name, "reason": sentence}},
        link=f"/administrations/?connection={held.connection_id}",
    )


def _key(held: Held) -> str:
    return f"connection {held.connection_id}"
