"""`python -m koppel_sandbox`: run the simulated vendor until it is stopped."""

import argparse
import asyncio
import signal
import sys
from datetime import UTC, datetime
from pathlib import Path

from aiohttp import web

from koppel_sandbox import from_sie, generate
from koppel_sandbox.company import Company
from koppel_sandbox.visma_net.app import build

LINES_NAMED_MAX = 20


def main() -> None:
    options = _options()
    today = datetime.now(UTC).date()
    companies = generate.generate_companies(
        options.companies, lines_max=options.lines, seed=options.seed, today=today
    )
    refusals: dict[str, str] = {}
    if options.sie is not None:
        try:
            more, refusals = from_sie.companies(options.sie)
        except NotADirectoryError as error:
            sys.exit(str(error))
        companies += more
        for reason in refusals.values():
            sys.stderr.write(f"refused: {reason}\n")
        for company in more:
            _write_skipped_lines(company)
    app = build(companies, refusals, options.seed, options.redirect_uri)
    asyncio.run(_serve(app, options.host, options.port))


def _write_skipped_lines(company: Company) -> None:
    for line, reason in company.skipped_lines[:LINES_NAMED_MAX]:
        sys.stderr.write(f"left out: {company.source} line {line}, {reason}\n")
    if (more := len(company.skipped_lines) - LINES_NAMED_MAX) > 0:
        sys.stderr.write(f"left out: {company.source}, {more} more lines\n")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="koppel_sandbox", description="Plays Visma Connect and the Visma.net ERP API."
    )
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8410, help="0 = any free port; the address is printed")
    parser.add_argument("--companies", type=int, default=40, help="how many companies to generate")
    parser.add_argument("--lines", type=int, default=20_000, help="entry lines of the largest company")
    parser.add_argument("--seed", type=int, default=1, help="another seed makes other companies")
    parser.add_argument("--sie", type=Path, help="a folder of SIE type 4 files; each becomes a company")
    parser.add_argument(
        "--redirect-uri", action="append", default=[], help="a further redirect address to accept"
    )
    return parser.parse_args()


async def _serve(app: web.Application, host: str, port: int) -> None:
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
    await runner.setup()
    site = web.TCPSite(runner, host, port)
    try:
        await site.start()
    except OSError as error:
        sys.exit(f"The sandbox cannot listen on {host}:{port}: {error.strerror}.")
    address = runner.addresses[0]
    sys.stdout.write(f"sandbox listening on http://{address[0]}:{address[1]}\n")
    sys.stdout.flush()
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    await stopped.wait()
    await runner.cleanup()


if __name__ == "__main__":
    main()
