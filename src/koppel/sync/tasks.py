"""Performs a run that this worker holds, whoever took it: the dispatcher from the queue of runs, or a job."""

import os
import socket
import uuid

import structlog
from django.utils.translation import gettext_noop
from procrastinate.contrib.django import app

from koppel.connections.sessions.consent_scope import note_refusal
from koppel.connections.sessions.runtime import of_worker
from koppel.connections.sessions.sessions import Runtime
from koppel.connector.errors import ConnectorError, Unreachable
from koppel.kit import quarantine
from koppel.kit.database_outage import is_outage, sqlstate_of
from koppel.kit.quarantine import Quarantined
from koppel.kit.threads import in_django
from koppel.sync.engine import completion, engine
from koppel.sync.engine.error_policy import Next, Reaction, reaction_to, wait_seconds
from koppel.sync.errors import Fenced, TurnOver
from koppel.sync.hooks.connection import OUTAGE, outage_seconds
from koppel.sync.models import RunState
from koppel.sync.runs import store
from koppel.sync.runs.store import Held

WORKER = f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:8]}"
CRASHES_MAX, CRASH_PAUSE_SECONDS = 3, 5.0
OUTAGE_ISSUE_SECONDS = 900.0
"""How long our database may answer with errors before somebody is told."""
OUTAGE_SENTENCE = gettext_noop("Koppel's own database answers with errors. The sync waits, and goes on by itself.")
log = structlog.get_logger(__name__)


@app.task(name="sync.perform_run")
async def perform_run(organisation_id: int, run_id: int) -> None:
    """Perform a run if it waits or was left by a dead worker; else do nothing. Runs are taken from their own queue; this job
    is for those that an older Koppel left in the queue of jobs."""
    runtime = of_worker()
    async with runtime.database.scoped(organisation_id) as connection:
        held = await store.claim(connection, run_id, WORKER)
        known = held is not None or await store.exists(connection, run_id)
    if not known:
        await in_django(lambda: note_refusal(organisation_id, ("run", run_id, ""), "no_such_run"))
    if held is not None:
        await perform_held(runtime, held)


async def perform_held(runtime: Runtime, held: Held) -> None:
    """To its end, to a wall, or until its turn is over; whichever it is, the run's row says so afterwards."""
    organisation_id, run_id = held.organisation_id, held.id
    with structlog.contextvars.bound_contextvars(organisation=organisation_id, run=run_id, attempt=held.attempt):
        try:
            await quarantine.refuse_async()
            await _perform(runtime, held)
        except Fenced:
            log.warning("run_taken_over")
        except TurnOver:
            async with runtime.database.scoped(organisation_id) as connection:
                await store.put_back(connection, held, 0, failed=False, code="", reason="")
        except Quarantined as stopped:
            async with runtime.database.scoped(organisation_id) as connection:
                await store.put_back(connection, held, 0, failed=False, code=stopped.code, reason=str(stopped))
        except ConnectorError as error:
            await _react(runtime, held, error)
        except Exception as error:
            if is_outage(error):
                await _wait_for_database(runtime, held, error)
            else:
                log.exception("run_crashed")
                await _crashed(runtime, held, error)


async def _perform(runtime: Runtime, held: Held) -> None:
    wanted = await in_django(lambda: completion.begin(held))
    outcome = await engine.perform(runtime, held, wanted)
    if outcome.broken:
        resource, sentence = next(iter(outcome.broken.items()))
        broken = Reaction(Next.FAIL, "contract_broken"), "contract_broken", f"{resource}: {sentence}"
        await in_django(lambda: completion.fail(held, *broken, RunState.PARTIAL))
        return
    if not await in_django(lambda: completion.succeed(held, wanted)):
        raise Fenced
    log.info("run_succeeded", administration=held.administration_id, touched=sorted(outcome.touched))


async def _react(runtime: Runtime, held: Held, error: ConnectorError) -> None:
    async with runtime.database.scoped(held.organisation_id) as connection:
        failures = await store.failures(connection, held)
        down = await outage_seconds(connection, held.connection_id) if isinstance(error, Unreachable) else None
    reaction = reaction_to(error, failures) if down is None else Reaction(Next.WAIT)
    log.info("run_stopped", code=error.code, next=reaction.next.value, reason=str(error))
    if reaction.next is Next.WAIT:
        seconds = wait_seconds(error, failures) if down is None else down
        code = error.code if down is None else OUTAGE
        async with runtime.database.scoped(held.organisation_id) as connection:
            await store.put_back(connection, held, seconds, failed=reaction.counts, code=code, reason=str(error))
        return
    await in_django(lambda: completion.fail_of_error(held, reaction, error))


async def _wait_for_database(runtime: Runtime, held: Held, error: Exception) -> None:
    """Nobody's fault, so no strike. Where not even this can be written, the run is taken up again when its worker is silent."""
    log.warning(
        "run_waits_for_database", error=type(error).__name__, sqlstate=sqlstate_of(error), reason=str(error)[:200]
    )
    async with runtime.database.scoped(held.organisation_id) as connection:
        lasting = await store.put_back_for_outage(connection, held, OUTAGE_SENTENCE)
    if lasting >= OUTAGE_ISSUE_SECONDS:
        await in_django(lambda: completion.tell_of_outage(held, sqlstate_of(error) or type(error).__name__))


async def _crashed(runtime: Runtime, held: Held, error: Exception) -> None:
    """A fault of ours. Tried again twice, whatever came through in between."""
    again = held.crashes + 1 < CRASHES_MAX
    sentence = f"Koppel failed here ({type(error).__name__}). The log of the worker has the details."
    if again:
        async with runtime.database.scoped(held.organisation_id) as connection:
            await store.put_back_after_crash(connection, held, CRASH_PAUSE_SECONDS, sentence)
    else:
        await in_django(lambda: completion.fail(held, Reaction(Next.FAIL, "sync_failed"), "crashed", sentence))
