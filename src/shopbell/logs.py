"""Log lines on standard error, for people or as JSON; never with a token, a text, an address or a number in them."""

import json
import logging
import sys
import traceback
from collections.abc import MutableMapping
from typing import Any, TextIO, cast

import orjson
import structlog

from shopbell.log_output import LogOutput, output
from shopbell.settings import Settings, unknown_variables

Event = MutableMapping[str, Any]


def configure(settings: Settings) -> None:
    """Make all log lines of this process, those of libraries too, look as the settings say.

    From now on no log call raises or waits: a line that cannot be made or written is lost and counted.
    """
    level = logging.getLevelNamesMapping()[settings.log_level.upper()]
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
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
        # It is no file, but has the two methods of one that are used.
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
    class Logger(logger):  # type: ignore[misc]  # made by structlog
        def _proxy_to_logger(self, method_name: str, event: str | None = None, **fields: Any) -> Any:
            try:
                return super()._proxy_to_logger(method_name, event, **fields)
            except Exception:  # noqa: BLE001 - whatever it is, the caller has other work
                output().note_lost()

    return Logger


class _Handler(logging.StreamHandler[LogOutput]):
    """The log lines of libraries."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            super().emit(record)
        except Exception:  # noqa: BLE001 - as above
            self.handleError(record)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802, ARG002 - the library's name
        # The library's own prints the record with its arguments.
        output().note_lost()


def warn_of_unknown_variables() -> None:
    """Log each variable of the environment that looks like a setting and is none."""
    log = structlog.get_logger()
    for line in unknown_variables():
        log.warning(line)


def _describe_error(_logger: object, _method: str, event: Event) -> Event:
    """Where an error came from, without its text: a driver's text quotes the row, and with it addresses and
    messages."""
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
    except TypeError:  # half a character, or an integer of more than 64 bits
        return json.dumps(event, default=repr)
