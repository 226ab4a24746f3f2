"""Configure logging to standard error, without personal data or secrets."""

import json
import logging
import sys
import time
import traceback
from collections.abc import MutableMapping
from typing import Any, TextIO, cast

import orjson
import structlog

from shopbell.runtime.clock import log_time
from shopbell.runtime.log_output import LogOutput, output
from shopbell.settings.settings import Settings, unknown_variables

Event = MutableMapping[str, Any]


def configure(settings: Settings) -> None:
    """Configure all log lines of this process, including those of libraries.

    After this, log calls never raise or block: a line that cannot be formatted or written is dropped and counted.
    """
    level = logging.getLevelNamesMapping()[settings.log_level.upper()]
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        _add_time,
        _describe_error,
    ]
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer(serializer=_json)
        if settings.log_format == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=_without_raising(structlog.make_filtering_bound_logger(level)),
        # LogOutput is not a file, but has the two methods that structlog uses.
        logger_factory=structlog.WriteLoggerFactory(cast("TextIO", output())),
        cache_logger_on_first_use=True,
    )
    handler = _Handler(output())
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    logging.basicConfig(handlers=[handler], level=max(level, logging.WARNING), force=True)


def _without_raising(logger: type[Any]) -> type[Any]:
    class Logger(logger):  # type: ignore[misc]  # created by structlog
        def _proxy_to_logger(self, method_name: str, event: str | None = None, **fields: Any) -> Any:
            try:
                return super()._proxy_to_logger(method_name, event, **fields)
            except Exception:  # noqa: BLE001 - logging must not fail the caller
                output().note_lost()

    return Logger


class _Handler(logging.StreamHandler[LogOutput]):
    """Handles the log lines of libraries."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            super().emit(record)
        except Exception:  # noqa: BLE001 - as above
            self.handleError(record)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802, ARG002 - logging's name
        # The default prints the record with its arguments.
        output().note_lost()


def warn_of_unknown_variables() -> None:
    """Log a warning for each environment variable that starts like a setting but is none."""
    log = structlog.get_logger()
    for line in unknown_variables():
        log.warning(line)


def _add_time(_logger: object, _method: str, event: Event) -> Event:
    """Add the time, in the form that the lines of requests have, too."""
    event["timestamp"] = log_time(time.time())
    return event


def _describe_error(_logger: object, _method: str, event: Event) -> Event:
    """Add the type and location of an error, without its message.

    A driver's message quotes rows, which contain addresses and messages.
    """
    error = event.pop("exc_info", None)
    if isinstance(error, tuple):
        error = error[1]
    elif error is True:
        error = sys.exc_info()[1]
    if isinstance(error, BaseException):
        frames = traceback.extract_tb(error.__traceback__)
        event["error"] = type(error).__qualname__
        event["at"] = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames]
    return event


def _json(event: Event, **_: object) -> str:
    try:
        return orjson.dumps(event, default=repr).decode()
    except TypeError:  # a lone surrogate, or an integer of more than 64 bits
        return json.dumps(event, default=repr)
