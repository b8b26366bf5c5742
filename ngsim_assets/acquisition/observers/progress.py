"""Downloads for people who watch: a line per file that is under way, and one for all of them.

Belongs here: what is drawn, and the lines that stand in for it where nothing can be drawn. Does
not belong here: columns and colours (console.py).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.progress import Progress, TaskID

from ngsim_assets import console
from ngsim_assets.acquisition.events import (
    ArtifactStored,
    BreakerChanged,
    BytesReceived,
    Degraded,
    Event,
    Observer,
    ResourceFinished,
    ResourceStarted,
    Retrying,
    SourceFinished,
    Warned,
)
from ngsim_assets.acquisition.observers.received import Place, Received, place_of
from ngsim_assets.acquisition.observers.sentences import SMALL, sentence
from ngsim_assets.acquisition.results import shown_bytes

_EVERY = 10.0
"""Seconds from one plain line of progress to the next."""

_NAME = 48
_REASON = 60


@contextmanager
def showing_progress() -> Iterator[Observer]:
    """An observer that shows how far everything is while the block runs, on standard error.

    On a terminal lines move; elsewhere a plain line is written now and then.
    """
    progress = console.file_progress()
    if progress.disable:
        yield PlainProgress()
    else:
        with progress:
            yield MovingProgress(progress)


class MovingProgress:
    """Lines of `progress`: the first one for all of them, then one per part under way."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._received = Received()
        self._lines: dict[Place, TaskID] = {}
        self._all: TaskID | None = None
        self._files = 0

    async def notice(self, event: Event) -> None:
        """Draw `event`."""
        self._received.by(event)
        match event:
            case ResourceStarted() | BytesReceived():
                self._draw_all()
                self._move(event)
            case Retrying():
                self._say(event)
            case ArtifactStored():
                self._files += 1
                self._draw_all()
            case _:
                pass
        self._remove_what_ended(event)
        if _lasts(event) and (told := sentence(event)) is not None:
            self._progress.console.print(told[1], markup=False, soft_wrap=True)

    def _move(self, event: ResourceStarted | BytesReceived) -> None:
        place = place_of(event)
        done = event.resumed_from if isinstance(event, ResourceStarted) else event.done
        line = self._lines.get(place)
        if line is None or isinstance(event, ResourceStarted):
            if line is not None:
                self._progress.remove_task(line)
            # begun where it goes on, so that what was there before does not count as speed
            self._lines[place] = self._progress.add_task(
                _name(place), total=event.total, completed=done
            )
            return
        self._progress.update(line, description=_name(place), total=event.total, completed=done)

    def _say(self, event: Retrying) -> None:
        """Why nothing moves, where the file stands."""
        for place, line in self._lines.items():
            if place[:2] == (event.resource.source, event.resource.key):
                reason = _short(event.reason, _REASON)
                text = f"{_name(place)}\n  again in {event.wait:.0f} s: {reason}"
                self._progress.update(line, description=text)

    def _remove_what_ended(self, event: Event) -> None:
        for place in [place for place in self._lines if place not in self._received.parts]:
            self._progress.remove_task(self._lines.pop(place))
        if isinstance(event, SourceFinished) and not self._lines and self._all is not None:
            self._progress.remove_task(self._all)
            self._all = None

    def _draw_all(self) -> None:
        received = self._received
        text = f"all, {self._files:,} complete" if self._files else "all"
        total = received.expected if received.is_known else None
        if self._all is None:
            self._all = self._progress.add_task(text, total=total, completed=received.bytes)
        self._progress.update(self._all, description=text, total=total, completed=received.bytes)


class PlainProgress:
    """Lines one below the other: what begins and ends, and now and then how far everything is."""

    def __init__(
        self,
        write: Callable[[str], None] = console.note,
        *,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._write = write
        self._now = now
        self._received = Received()
        self._began = self._told = now()
        self._files = 0

    async def notice(self, event: Event) -> None:
        """Write `event`, if it is worth a line."""
        self._received.by(event)
        if isinstance(event, ArtifactStored):
            self._files += 1
        told = sentence(event)
        if told is not None and (_lasts(event) or _is_large(event)):
            self._write(told[1])
        elif isinstance(event, BytesReceived) and self._now() - self._told >= _EVERY:
            self._told = self._now()
            self._write(self._how_far())

    def _how_far(self) -> str:
        received = self._received
        rate = received.bytes / max(self._now() - self._began, 0.001)
        told = [f"{shown_bytes(received.bytes)} received", f"{shown_bytes(rate)}/s"]
        if received.is_known and rate:
            told[0] = f"{shown_bytes(received.bytes)} of {shown_bytes(received.expected)} received"
            told.append(f"{(received.expected - received.bytes) / rate:.0f} s left")
        if self._files:
            told.insert(0, f"{self._files:,} files complete")
        return ", ".join(told)


def _lasts(event: Event) -> bool:
    """Whether `event` is to be read also when the work is over."""
    return isinstance(event, Degraded | Warned | BreakerChanged | ResourceFinished | SourceFinished)


def _is_large(event: Event) -> bool:
    match event:
        case ResourceStarted():
            return event.total is None or event.total >= SMALL
        case ArtifactStored(artifact=artifact):
            return artifact.bytes >= SMALL
        case Retrying():
            return True
        case _:
            return False


def _name(place: Place) -> str:
    _, key, part = place
    return _short(part if part.startswith(key) else f"{key} {part}", _NAME)


def _short(text: str, most: int) -> str:
    """`text`, cut in the middle: both ends of a name tell it from others."""
    if len(text) <= most:
        return text
    half = (most - 1) // 2
    return f"{text[:half]}…{text[-half:]}"
