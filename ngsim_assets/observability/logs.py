"""Lines about what happens: short ones for people, or a JSON object each for machines.

`NGSIM_LOG=human` (the default) is for people. What the command line says stays what it was, and a
log line is `event key=value …`, with its level in front where that is more than information.

`NGSIM_LOG=json` makes every line on standard error one JSON object: `timestamp` (UTC), `level`,
`event`, then whatever is bound (run, partition, source, highway, resource) and whatever the line
itself tells. Notes and errors of the command line, warnings, and what libraries log from warning
upwards all become such lines, and progress bars are off. Results on standard output stay as they
are.

What Dagster itself logs it keeps, as it did: its event log, and the lines its processes write. Of
a run only one thing is added, for machines and in one place what its event log has in several: a
line when a stage begins and one with rows and seconds when it ends. They go to the standard error
of the run, which Dagster stores with the step and hands on. Its loggers and their handlers are left
alone; `dagster-daemon run --log-format json` is its own switch.

Belongs here: how lines are made and where they go. Does not belong here: what is worth a line, what
is a secret (redaction.py).
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
import traceback
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Literal, TextIO

from ngsim_assets import console
from ngsim_assets.errors import NgsimAssetsError
from ngsim_assets.observability.redaction import Redactor
from ngsim_assets.settings import BadSetting, Settings, load_settings

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger, Processor

Mode = Literal["human", "json"]
Level = Literal["debug", "info", "warning", "error"]
Event = MutableMapping[str, object]

_LEVELS = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}
_OURS = "ngsim_assets"
_FOR_PEOPLE = frozenset({"timestamp", "level", "event", "run", "logger"})
"""Fields that a line for people does not repeat as `key=value`."""


class Log:
    """Where a module tells what happens.

    A line is an event in a few words and fields: `log.info("stored", rows=12)`. Errors go in as
    `error=`; their type, problem and fix become fields, at level debug with the traceback. One
    below the level in force costs a comparison.
    """

    __slots__ = ("_fields",)

    def __init__(self, fields: dict[str, object]) -> None:
        self._fields = fields

    def debug(self, event: str, **fields: object) -> None:
        """For whoever looks for a fault."""
        if _state.level <= logging.DEBUG:
            self._emit("debug", event, fields)

    def info(self, event: str, **fields: object) -> None:
        """What was done."""
        if _state.level <= logging.INFO:
            self._emit("info", event, fields)

    def warning(self, event: str, **fields: object) -> None:
        """What somebody should know."""
        if _state.level <= logging.WARNING:
            self._emit("warning", event, fields)

    def error(self, event: str, **fields: object) -> None:
        """What could not be done."""
        if _state.level <= logging.ERROR:
            self._emit("error", event, fields)

    def at(self, level: Level, event: str, **fields: object) -> None:
        """A line of a level that is known only now."""
        if _state.level <= _LEVELS[level]:
            self._emit(level, event, fields)

    def _emit(self, level: Level, event: str, fields: dict[str, object]) -> None:
        write = getattr(_state.sink(), level)
        write(event, **self._fields, **fields)


def get_logger(**fields: object) -> Log:
    """A log whose lines all have `fields`; costs nothing to make, and nothing is imported."""
    return Log(fields)


@contextmanager
def bound(**fields: object) -> Iterator[None]:
    """Every line inside the block has `fields` (run, partition, source, …) that are not None.

    Bound by context variables: tasks that are started inside have them too, those beside do not.
    """
    from structlog.contextvars import bound_contextvars

    with bound_contextvars(**{name: value for name, value in fields.items() if value is not None}):
        yield


@contextmanager
def step(name: str, **fields: object) -> Iterator[dict[str, object]]:
    """A line when a piece of work begins, and one when it ends: with seconds, or why it failed.

    What is put into the dictionary that it gives (rows, for instance) stands in the last line.
    For people these lines are of level debug: they see progress, and errors are told to them.
    """
    log, told, began = get_logger(step=name, **fields), dict[str, object](), time.monotonic()
    level: Level = "info" if _state.mode == "json" else "debug"
    log.at(level, "begins")
    try:
        yield told
    except BaseException as error:
        level = "error" if _state.mode == "json" else "debug"
        log.at(level, "failed", error=error, seconds=round(time.monotonic() - began, 3), **told)
        raise
    log.at(level, "done", seconds=round(time.monotonic() - began, 3), **told)


def configure(
    settings: Settings | None = None,
    *,
    mode: Mode | None = None,
    level: Level | None = None,
    stream: TextIO | None = None,
) -> None:
    """Log as `settings` say, by default as the environment does; done again, the last one counts.

    Args:
        mode, level: in place of those of `settings`. stream: in place of standard error, which is
            looked up for every line, since runs and tests put others there.
    """
    settings = settings or load_settings()
    _state.set(mode or settings.log, level or settings.log_level, Redactor.of(settings), stream)


def configure_from_environment(*, again: bool = True) -> None:
    """As `configure`, for an entry point: where a variable is wrong the command says so itself.

    Args:
        again: whether also in a process that has been told already how it logs.
    """
    if _state.configured and not again:
        return
    try:
        configure()
    except BadSetting:
        wanted = os.environ.get("NGSIM_LOG", "").strip().lower() == "json"
        _state.set("json" if wanted else "human", "info", Redactor(), None)


class _State:
    """How this process logs."""

    def __init__(self) -> None:
        self.mode: Mode = "human"
        self.level = logging.INFO
        self.redactor = Redactor()
        self.stream: TextIO | None = None
        self.configured = False
        self._sink: FilteringBoundLogger | None = None
        self._handler = _FromStandardLibrary()

    def set(self, mode: Mode, level: Level, redactor: Redactor, stream: TextIO | None) -> None:
        self.mode, self.level, self.redactor, self.stream = mode, _LEVELS[level], redactor, stream
        self.configured, self._sink = True, None
        root, ours = logging.getLogger(), logging.getLogger(_OURS)
        root.removeHandler(self._handler)
        if mode == "json":
            root.addHandler(self._handler)
            ours.setLevel(self.level)
        logging.captureWarnings(mode == "json")
        console.tell_through(_tell if mode == "json" else None)

    def sink(self) -> FilteringBoundLogger:
        configure_from_environment(again=False)
        if self._sink is None:
            self._sink = self._made()
        return self._sink

    def _made(self) -> FilteringBoundLogger:
        import structlog

        render: Processor = (
            structlog.processors.JSONRenderer(ensure_ascii=True)
            if self.mode == "json"
            else _for_people
        )
        logger: FilteringBoundLogger = structlog.wrap_logger(
            _Lines(self.stream),
            wrapper_class=structlog.make_filtering_bound_logger(self.level),
            processors=[
                structlog.contextvars.merge_contextvars,
                structlog.processors.add_log_level,
                structlog.processors.TimeStamper(fmt="iso", utc=True),
                self._errors_as_fields,
                self._without_secrets,
                render,
            ],
            cache_logger_on_first_use=True,
        ).bind()
        return logger

    def _errors_as_fields(self, logger: object, method: str, event: Event) -> Event:
        error = event.get("error")
        if isinstance(error, BaseException):
            event["error"] = _told(error, with_traceback=self.level <= logging.DEBUG)
        return event

    def _without_secrets(self, logger: object, method: str, event: Event) -> Event:
        first = {name: event.pop(name) for name in ("timestamp", "level", "event")}
        return {
            name: self.redactor.value(value, name) for name, value in {**first, **event}.items()
        }


class _Lines:
    """Writes whole lines, whichever thread they come from."""

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream
        self._turn = threading.Lock()

    def write(self, line: str) -> None:
        stream = self._stream or sys.stderr
        # a pipe that nobody reads any more, or a full disk, is no reason to stop the work
        with self._turn, suppress(OSError, ValueError):
            stream.write(line + "\n")
            stream.flush()

    debug = info = warning = error = write


class _FromStandardLibrary(logging.Handler):
    """Hands on what is logged through `logging`: ours from its level, others' from warnings up."""

    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno < logging.WARNING and not record.name.startswith(_OURS):
            return
        if _has_its_own_handler(record.name):  # Dagster's have, and would be told twice
            return
        fields: dict[str, object] = {"logger": record.name}
        if record.exc_info and record.exc_info[1] is not None:
            fields["error"] = record.exc_info[1]
        log = get_logger(**fields)
        try:
            text = record.getMessage()
            if record.levelno >= logging.ERROR:
                log.error(text)
            elif record.levelno >= logging.WARNING:
                log.warning(text)
            elif record.levelno >= logging.INFO:
                log.info(text)
            else:
                log.debug(text)
        except Exception:
            self.handleError(record)


def _has_its_own_handler(name: str) -> bool:
    logger: logging.Logger | None = logging.getLogger(name)
    while logger is not None and logger.parent is not None:
        # libraries add one that does nothing, so that they are not told of having none
        if any(not isinstance(handler, logging.NullHandler) for handler in logger.handlers):
            return True
        logger = logger.parent if logger.propagate else None
    return False


def _tell(message: str, error: BaseException | None, debug: bool) -> None:
    """What the command line says, as a line of the log."""
    if error is None:
        get_logger().info(message)
    else:
        told = _told(error, with_traceback=debug or _state.level <= logging.DEBUG)
        get_logger().error(message, error=told)


def _told(error: BaseException, *, with_traceback: bool) -> dict[str, object]:
    told: dict[str, object] = {"type": type(error).__name__}
    if isinstance(error, NgsimAssetsError):
        told |= {"problem": error.problem, "fix": error.fix}
    else:
        told["problem"] = str(error)
    if with_traceback:
        told["traceback"] = "".join(traceback.format_exception(error))
    return told


def _for_people(logger: object, method: str, event: Event) -> str:
    level = f"{event['level']}: " if method in {"warning", "error"} else ""
    fields = [f"{name}={_short(value)}" for name, value in event.items() if name not in _FOR_PEOPLE]
    return " ".join([f"{level}{event['event']}", *fields])


def _short(value: object) -> str:
    if isinstance(value, dict) and "problem" in value:
        return " ".join(
            str(value[name]) for name in ("type", "problem", "traceback") if name in value
        )
    return f"{value:.3g}" if isinstance(value, float) else str(value)


_state = _State()
