"""What the sensor of a watched folder remembers between ticks, and when it tries again.

Belongs here: the cursor's content, the pauses, what a tick comes to, as values. Does not belong
here: looking at files (acquisition/looking.py), asking for runs (a domain's sensors.py).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar, Literal
from urllib.parse import quote, unquote

from pydantic import ConfigDict, TypeAdapter, ValidationError

CURSOR_BYTES = 16_384
"""Bytes a cursor has at most, however many files there are."""

FIRST_PAUSE = 30.0
"""s after a run that failed; each further failure on the same files doubles it."""

ATTEMPTS = 5
"""Runs on the same files before they are left alone for LONG_PAUSE."""

LONG_PAUSE = 3600.0
"""s after the last of ATTEMPTS, unless other files come."""

_NOTHING = "nothing"
"""Stands for no file, where a run is wanted all the same."""

_BYTES = "surrogateescape"
"""How Python writes what is no text in a path."""


@dataclass(frozen=True, slots=True)
class Memory:
    """What a tick leaves for the next one.

    Attributes:
        unsure: what files looked like whose times lie in the future, by path: such a file is
            settled when it looks the same twice. As many as the cursor has room for.
        given_up: names the set of waiting files that was last reported as not to be taken in.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    version: Literal[1] = 1
    unsure: Mapping[str, str] = field(default_factory=dict[str, str])
    given_up: str = ""

    @classmethod
    def of(cls, cursor: str | None) -> Memory | None:
        """Memory in `cursor`; None if it is damaged or something else's."""
        if not cursor:
            return cls()
        if len(cursor) > 2 * CURSOR_BYTES:
            return None
        try:
            memory = _MEMORY.validate_json(cursor)
        except ValidationError:
            return None
        unsure = {unquote(path, errors=_BYTES): state for path, state in memory.unsure.items()}
        return replace(memory, unsure=unsure)

    def cursor(self) -> str:
        """As text of at most CURSOR_BYTES; files that find no room wait for others to settle."""
        room = CURSOR_BYTES - len(self._text({}))
        kept: dict[str, str] = {}
        for path, state in sorted(self.unsure.items()):
            name = quote(path, safe="/ ", errors=_BYTES)  # a name need not be text
            room -= len(json.dumps({name: state}))
            if room < 0:
                break
            kept[name] = state
        return self._text(kept)

    def _text(self, unsure: Mapping[str, str]) -> str:
        memory = replace(self, unsure=unsure)
        return json.dumps({name: getattr(memory, name) for name in Memory.__slots__})


@dataclass(frozen=True, slots=True)
class Try:
    """A run that took files in, or tried to: of which set, how it ended, when (s since 1970)."""

    waiting: str
    succeeded: bool
    ended: float | None
    run_id: str = ""


def tries_of(waiting: str, tries: Sequence[Try]) -> int:
    """How many of the newest `tries` (newest first) were on this same set of files."""
    for count, attempt in enumerate(tries):
        if attempt.waiting != waiting:
            return count
    return len(tries)


def pause_left(waiting: str, tries: Sequence[Try], now: float) -> float:
    """Seconds until `waiting` may be tried (again), 0 if now.

    Args:
        tries: ended runs, newest first. now: s since 1970.

    A run that did not get rid of the set it was asked for counts as tried, however it ended; after
    one that failed on another set there is the first pause. Where the clock was moved back, so
    that the last run ends in the future, nothing is waited for.
    """
    last = tries[0] if tries else None
    if last is None or last.ended is None or last.ended > now:
        return 0.0
    count = tries_of(waiting, tries)
    if not count:
        pause = 0.0 if last.succeeded else FIRST_PAUSE
    else:
        pause = LONG_PAUSE if count >= ATTEMPTS else FIRST_PAUSE * 2 ** (count - 1)
    return max(0.0, last.ended + pause - now)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a tick comes to where there is something to do.

    Attributes:
        run_key: of the run to ask for, empty if it is too early. reason: why, for people.
        waiting: names the set of files, for the run's tags. alarm: to be told aloud, mostly empty.
        memory: for the next tick.
    """

    memory: Memory
    waiting: str
    reason: str
    run_key: str = ""
    alarm: str = ""


def answer(memory: Memory, waiting: str, reason: str, tries: Sequence[Try], now: float) -> Answer:
    """Whether a run is asked for now.

    Args:
        waiting: names the set of files, empty for none. reason: what a run is wanted for.
        tries: ended runs, newest first. now: s since 1970.
    """
    waiting = waiting or _NOTHING
    left = pause_left(waiting, tries, now)
    if not left:
        # the daemon asks for no run twice: another key after every run there was
        key = f"{waiting}-{tries[0].run_id if tries else 'first'}"
        return Answer(memory, waiting, reason, run_key=key)
    last, alarm = tries[0].run_id, ""
    if tries_of(waiting, tries) >= ATTEMPTS and memory.given_up != waiting:
        memory = replace(memory, given_up=waiting)
        alarm = (
            f"{reason}: {ATTEMPTS} runs changed nothing of that; correct what the last one, {last},"
            " names"
        )
    told = f"{reason}; run {last} did not help, again in {left:.0f} s"
    return Answer(memory, waiting, told, alarm=alarm)


_MEMORY = TypeAdapter(Memory)
