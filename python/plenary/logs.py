"""Where the log goes: lines of JSON on standard error, coloured ones if that is a terminal."""

import contextlib
import logging
import sys
from typing import TextIO

import structlog


class Lines:
    """A structlog logger that writes lines to a stream. One that can't be written is lost: a full disk or a reader
    that has gone ends no call."""

    def __init__(self, stream: TextIO | None) -> None:
        """`stream` None: it was closed when the program was started."""
        self._stream = stream

    def msg(self, line: str) -> None:
        if self._stream is None:
            return
        with contextlib.suppress(OSError, ValueError):  # ValueError: closed meanwhile
            self._stream.write(f"{line}\n")
            self._stream.flush()

    debug = info = warning = error = critical = exception = msg


def log_to_stderr() -> None:
    stream: TextIO | None = sys.stderr
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.dev.ConsoleRenderer() if stream and stream.isatty() else structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=lambda *_: Lines(stream),
    )
