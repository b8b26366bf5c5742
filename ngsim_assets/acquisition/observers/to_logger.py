"""Events as lines of somebody else's log, such as that of a Dagster run (`context.log`).

Belongs here: passing sentences on. Does not belong here: what they say (sentences.py); Dagster.
"""

from __future__ import annotations

from typing import Protocol

from ngsim_assets.acquisition.events import Event
from ngsim_assets.acquisition.observers.sentences import sentence


class Logger(Protocol):
    """What takes lines."""

    def info(self, msg: str, /) -> object:
        """What was done."""
        ...

    def warning(self, msg: str, /) -> object:
        """What somebody should know."""
        ...

    def error(self, msg: str, /) -> object:
        """What could not be done."""
        ...


class ToLogger:
    """Passes every event that people should know of on to `logger`, as one line."""

    def __init__(self, logger: Logger) -> None:
        self._logger = logger

    async def notice(self, event: Event) -> None:
        """Log `event`."""
        told = sentence(event)
        if told is not None:
            level, text = told
            getattr(self._logger, level)(text)
