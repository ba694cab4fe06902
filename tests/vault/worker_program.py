"""A process with a vault, to be run many at once and killed: `python -m tests.vault.worker_program
'{"grants": [[org, id] …], …}'`.

Says on standard output, one JSON object per line: `ready`; then, when a line comes in, for each grant `token`
(a hash of it) or `error` (`briefly`: one hash over all, and the errors counted), and `done`. With `stop_at`,
a step by grant, each of these refreshes stands still at its step and says `at`, to be killed there.
"""

import asyncio
import hashlib
import json
import sys
import time
from collections import Counter
from typing import Any

import django

STEPS = ("locked", "intended", "called", "answered", "stored")
"""Lock held, nothing written; intent committed, nothing sent; answer under way; answer here, not stored;
stored, not used.
"""


def print_facts(**facts: Any) -> None:
    sys.stdout.write(json.dumps(facts) + "\n")
    sys.stdout.flush()


async def main(options: dict[str, Any]) -> None:
    from koppel.connections.sessions import runtime
    from koppel.kit.http.client import HttpClient

    if stop_at := options.get("stop_at"):
        pause_forever_at({int(grant_id): step for grant_id, step in stop_at.items()})
    async with (
        HttpClient() as http,
        runtime.runtime(http, size=options.get("connections", 6)) as process_runtime,
    ):
        print_facts(ready=True)
        while await asyncio.to_thread(sys.stdin.readline):
            began = time.monotonic()
            results = await asyncio.gather(
                *(request_token(process_runtime, *grant) for grant in options["grants"])
            )
            if options.get("briefly"):
                tokens = hashlib.sha256(
                    "".join(result.get("token", "") for result in results).encode()
                ).hexdigest()
                print_facts(
                    tokens=tokens, errors=Counter(result["error"] for result in results if "error" in result)
                )
            else:
                for result in results:
                    print_facts(**result)
            print_facts(done=True, seconds=time.monotonic() - began)


async def request_token(process_runtime: Any, organisation_id: int, grant_id: int) -> dict[str, Any]:
    from koppel.connector.errors import ConnectorError
    from koppel.kit.database.outage import is_outage

    try:
        token = await process_runtime.vault.get_access_token(organisation_id, grant_id)
    except ConnectorError as error:
        return {"grant": grant_id, "error": error.code}
    except Exception as error:
        if not is_outage(error):
            raise
        return {"grant": grant_id, "error": "database"}
    return {"grant": grant_id, "token": hashlib.sha256(token.reveal().encode()).hexdigest()[:16]}


def pause_forever_at(steps: dict[int, str]) -> None:
    """Let the refresh of each grant wait for ever at its step."""
    from koppel.connections.vault import token_refresh
    from koppel.connections.vault.grant_store import GrantStore

    async def wait_at(step: str, grant_id: int) -> None:
        if steps.get(grant_id) == step:
            print_facts(grant=grant_id, at=step)
            await asyncio.Event().wait()

    intend, keep, ask = (
        GrantStore.mark_refresh_started,
        GrantStore.store_tokens,
        token_refresh._call_token_endpoint,
    )

    async def intending(self: Any, held: Any, *values: Any) -> bool:
        await wait_at("locked", held.id)
        return await intend(self, held, *values)

    async def asking(http: Any, held: Any) -> Any:
        await wait_at("intended", held.id)
        if steps.get(held.id) == "called":
            print_facts(grant=held.id, at="called")
        return await ask(http, held)

    async def keeping(self: Any, held: Any, *values: Any) -> bool:
        await wait_at("answered", held.id)
        kept = await keep(self, held, *values)
        await wait_at("stored", held.id)
        return kept

    GrantStore.mark_refresh_started, GrantStore.store_tokens = intending, keeping  # type: ignore[method-assign]
    token_refresh._call_token_endpoint = asking


if __name__ == "__main__":
    from koppel.kit import logging

    django.setup()
    logging.configure(human=False)
    asyncio.run(main(json.loads(sys.argv[1])))
