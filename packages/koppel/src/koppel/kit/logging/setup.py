"""Logs to stderr: coloured lines on a terminal, otherwise one JSON object per line, without secrets."""

import logging
import sys
from contextlib import suppress
from typing import Any

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from koppel.kit.logging.redaction import redacted


def configure(*, level: int = logging.INFO, human: bool | None = None) -> None:
    """Format structlog's and the standard library's logs alike.

    `human` None: True if stderr is a terminal.
    """
    if human is None:
        human = sys.stderr.isatty()
    shared = _shared_processors()
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    handler = _Handler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared, processors=_final_processors(human=human)
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for chatty in ("procrastinate", "asyncio", "aiohttp.access"):
        logging.getLogger(chatty).setLevel(max(level, logging.WARNING))


class _Handler(logging.StreamHandler[Any]):
    """Suppresses Python's report of a failed log call, which would print the line unredacted."""

    def handleError(self, record: logging.LogRecord) -> None:
        kind = getattr(sys.exc_info()[0], "__name__", "")
        with suppress(OSError, ValueError, AttributeError):
            sys.stderr.write(
                f"A line of the log could not be written: {record.name}, {record.levelname}, {kind}\n"
            )


def redact(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    """Redact and shorten an event: a structlog processor. See `koppel.kit.logging.redaction`."""
    return redacted(event)


def _shared_processors() -> list[Processor]:
    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.StackInfoRenderer(),
    ]


def _final_processors(*, human: bool) -> list[Processor]:
    # Redact after the exception was formatted and directly before rendering, so that nothing is added later.
    renderer: Processor = (
        structlog.dev.ConsoleRenderer(colors=True)
        if human
        else structlog.processors.JSONRenderer(default=repr, ensure_ascii=False)
    )
    return [
        structlog.stdlib.ProcessorFormatter.remove_processors_meta,
        structlog.processors.format_exc_info,
        redact,
        renderer,
    ]
