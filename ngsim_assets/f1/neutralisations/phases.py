"""Changes of the track's status to phases.

Belongs here: when a phase begins, what ends it, and what takes its place. Does not belong here:
where changes come from (status rows or messages), laps, causes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final, Literal

from ngsim_assets.f1.neutralisations.model import Kind

CLEAR, SAFETY_CAR, RED, VSC, ENDING = "1", "4", "5", "6", "7"
"""Codes of the status; 2 is yellow, which neither begins nor ends a phase."""
IN_THIS_LAP = "in_this_lap"
"""What the status has no code for, and race control says: the safety car comes in."""

Flag = Literal[
    "ended_with_session",
    "escalated",
    "not_confirmed",
    "not_in_status",
    "only_in_lap_times",
    "start_from_race_control",
    "start_not_seen",
]
FLAGS: Final[Mapping[Flag, str]] = {
    "ended_with_session": "the session was over before anything ended the phase",
    "escalated": "another phase took its place at once",
    "not_confirmed": "race control was heard and said nothing of it",
    "not_in_status": "race control told of it and the status did not",
    "only_in_lap_times": "lap times alone show it",
    "start_from_race_control": "the status was seen late; race control told when it began",
    "start_not_seen": "its end was announced before anything had told of its start",
}
"""What is unusual about a phase, for people."""

KINDS: dict[str, Kind] = {SAFETY_CAR: "safety_car", VSC: "virtual_safety_car", RED: "red_flag"}

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Moment:
    """A point in time as far as a feed tells it.

    Attributes:
        session_time: milliseconds since the start of the feed, None if it is not known.
        timestamp: UTC, None if it is not known.
    """

    session_time: int | None
    timestamp: datetime | None = None

    @property
    def ms(self) -> int:
        """Milliseconds to compare moments of one feed by."""
        if self.session_time is not None:
            return self.session_time
        if self.timestamp is None:
            raise ValueError("a moment without any time")
        return (self.timestamp - _EPOCH) // timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True)
class Change:
    """A status that came into force, or IN_THIS_LAP, which announces an end as ENDING does."""

    at: Moment
    code: str


@dataclass(frozen=True, slots=True)
class Phase:
    """One neutralisation.

    Attributes:
        end: None if the changes end before it does.
        ending: when its end was announced.
        flags: what is unusual about it.
        follows: kind of the phase whose place it took.
    """

    kind: Kind
    start: Moment
    end: Moment | None = None
    ending: Moment | None = None
    flags: tuple[Flag, ...] = ()
    follows: Kind | None = None


def phases(changes: Iterable[Change], session_end: Moment | None = None) -> list[Phase]:
    """Phases in their order.

    A safety car lasts from 4 until 1, a red flag from 5 until 1, a virtual safety car from 6 until
    1 with or without 7 in between. Another of 4, 5 and 6 ends a phase and begins its own at that
    moment. Repeated codes change nothing. `session_end` ends what is still on then.
    """
    found: list[Phase] = []
    current: Phase | None = None
    for change in sorted(changes, key=lambda change: change.at.ms):
        if change.code in KINDS:
            kind = KINDS[change.code]
            if current is not None and current.kind == kind:
                # announced its end and went on all the same
                current = replace(current, ending=None)
                continue
            if current is not None:
                found.append(_ended(current, change.at, "escalated"))
            current = Phase(kind, change.at, follows=current.kind if current else None)
        elif change.code in (ENDING, IN_THIS_LAP):
            if current is None:
                kind = "safety_car" if change.code == IN_THIS_LAP else "virtual_safety_car"
                current = Phase(kind, change.at, flags=("start_not_seen",))
            if current.ending is None:
                current = replace(current, ending=change.at)
        elif change.code == CLEAR and current is not None:
            found.append(_ended(current, change.at))
            current = None
    if current is not None and session_end is not None and session_end.ms >= current.start.ms:
        found.append(_ended(current, session_end, "ended_with_session"))
    elif current is not None:
        found.append(current)
    return found


def _ended(phase: Phase, at: Moment, *flags: Flag) -> Phase:
    return replace(phase, end=at, flags=(*phase.flags, *flags))
