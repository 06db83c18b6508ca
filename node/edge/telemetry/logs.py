"""Structured logs: one JSON object a line, or coloured lines for a person at a terminal."""

import logging
import sys
from contextlib import suppress

import structlog


def configure_logs(*, json: bool, level: str = "info") -> None:
    """Log to standard error. `level` is one of debug, info, warning, error."""
    renderer = (
        structlog.processors.JSONRenderer() if json else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=_Lines,
        cache_logger_on_first_use=True,
    )


class _Lines:
    """Writes lines to standard error. One that cannot be written is lost: a full disk under a log stops nobody."""

    def __init__(self, *_: object) -> None:
        pass

    def msg(self, message: str) -> None:
        with suppress(OSError):
            print(message, file=sys.stderr, flush=True)

    log = debug = info = warning = error = critical = exception = msg
