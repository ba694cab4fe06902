"""Logs go to stderr: sentences with colours on a terminal, one JSON object per line otherwise. Secrets never get there."""

import logging
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from koppel.kit.secrets import Secret

REDACTED = "[redacted]"
_SECRET_KEY = re.compile(r"token|secret|password|passwd|authorization|cookie|api_?key|credential", re.IGNORECASE)
_COUNT_KEY = re.compile(r"(_count|_seconds|_at|_id|_type|_endpoint)$", re.IGNORECASE)
"""Facts about a secret that are none: how many, how old, where."""
_SECRET_TEXT = re.compile(
    r"(?i)(\b(?:bearer|basic)\s+)[A-Za-z0-9._~+/=-]{8,}"
    r"|(\b(?:access_token|refresh_token|id_token|client_secret|password|code_verifier)[\"']?\s*[=:]\s*[\"']?)[^\s\"'&,;}]+"
    r"|(postgres(?:ql)?://[^:/\s@]*:)[^@\s]+(?=@)"
)
_PERSONAL_NUMBER = re.compile(r"\b((?:18|19|20)?\d{2}[01]\d[0-3]\d)[-+]\d{4}\b")
"""A Swedish sole trader's company number is a person's own: the date stays, the rest does not."""


def configure(*, level: int = logging.INFO, human: bool | None = None) -> None:
    """Send structlog and the standard library's logging the same way. `human` None: as stderr is a terminal or not."""
    if human is None:
        human = sys.stderr.isatty()
    shared = _shared_processors()
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=_final_processors(human=human))
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for chatty in ("procrastinate", "asyncio", "aiohttp.access"):
        logging.getLogger(chatty).setLevel(max(level, logging.WARNING))


@contextmanager
def log_context(**facts: Any) -> Iterator[None]:
    """Each line logged within the block carries these facts: `log_context(run=7, administration=3)`."""
    with structlog.contextvars.bound_contextvars(**facts):
        yield


def redact(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    """A structlog processor: whatever is a `Secret`, is keyed like one, or looks like one inside a text, is replaced."""
    return {key: _redacted(key, value) for key, value in event.items()}


def _shared_processors() -> list[Processor]:
    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.StackInfoRenderer(),
    ]


def _final_processors(*, human: bool) -> list[Processor]:
    # Redaction comes after the exception became text and last before rendering, so that nothing is added behind its back.
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


def _redacted(key: str, value: Any) -> Any:
    if isinstance(value, Secret) or (_SECRET_KEY.search(key) and not _COUNT_KEY.search(key) and value is not None):
        return REDACTED
    if isinstance(value, str):
        return _PERSONAL_NUMBER.sub(r"\1-****", _SECRET_TEXT.sub(_keep_the_label, value))
    if isinstance(value, Mapping):
        return {inner: _redacted(str(inner), part) for inner, part in value.items()}
    if isinstance(value, list | tuple):
        return [_redacted(key, part) for part in value]
    return value


def _keep_the_label(found: re.Match[str]) -> str:
    return next(label for label in found.groups() if label) + REDACTED
