"""All messages of a session, folded: states of topics, laps, and rows of every table but telemetry.

Belongs here: what is done with a message of which topic, and the account of it. Does not belong
here: the reading of files (reading/), telemetry (telemetry/), the rows themselves.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from itertools import chain
from typing import Final, cast

import polars as pl

from ngsim_assets.f1.clock import SessionClock
from ngsim_assets.f1.errors import BadState
from ngsim_assets.f1.formats import COMPRESSED, Json, text, whole
from ngsim_assets.f1.model import (
    F1_MESSAGES,
    F1_QUARANTINE,
    F1_RACE_CONTROL,
    F1_SESSION_STATUS,
    F1_TRACK_STATUS,
    F1_WEATHER,
)
from ngsim_assets.f1.origin import Origin, Row, frame
from ngsim_assets.f1.race_control import deletions, messages
from ngsim_assets.f1.reading.messages import Message, Reason, SetAside, set_aside
from ngsim_assets.f1.sessions import kind_of
from ngsim_assets.f1.timing.assembly import LapAssembler
from ngsim_assets.f1.timing.closing import ClosedLap
from ngsim_assets.f1.timing.folding import Unfoldable, at, elements, fold
from ngsim_assets.f1.timing.laps import Around, drivers_of_feed, lap_table
from ngsim_assets.f1.timing.stints import stints_of_feed
from ngsim_assets.f1.track_status import StatusAt, session_status, track_status
from ngsim_assets.f1.weather import observation

_VERSION: Final = 1
_PARTS: Final = 4_096  # more messages than any line has


@dataclass(slots=True)
class SessionTables:
    """Rows of a session.

    Attributes:
        laps: every lap closed so far, as it is seen now: tyres and deletions are told later.
        weather, track_status, race_control, session_status: rows not handed out before.
    """

    laps: pl.DataFrame
    weather: pl.DataFrame
    track_status: pl.DataFrame
    race_control: pl.DataFrame
    session_status: pl.DataFrame


@dataclass(slots=True)
class Folded:
    """The account of a fold: messages = folded + passed on + set aside.

    Attributes:
        messages: messages taken.
        folded: messages folded into a state, per topic.
        passed_on: messages of compressed topics, which are rows and no state.
        aside: messages that could not be used, and why.
        late: changes of single drivers that told the past again, inside messages folded.
    """

    messages: int = 0
    folded: Counter[str] = field(default_factory=Counter[str])
    passed_on: int = 0
    aside: list[SetAside] = field(default_factory=list[SetAside])
    late: int = 0

    @property
    def complete(self) -> bool:
        """Whether every message became something."""
        return self.messages == self.folded.total() + self.passed_on + len(self.aside)


class SessionFold:
    """Folds the messages of one session, all at once or as they come.

    Messages are to be in order of time. Those of the archive and of recordings may be mixed with
    nothing else; both times of a message are to be known (`clock.place`).

    Args:
        first_laps: times in ms of the first lap of a race per car, from a service that has them:
            the feed tells none.
    """

    def __init__(
        self,
        origin: Origin,
        *,
        clock: SessionClock | None = None,
        first_laps: Mapping[int, int] | None = None,
    ) -> None:
        self._origin = origin
        self._clock = clock
        self._first_laps = first_laps or {}
        self._race = kind_of(origin.session.session) == "race"
        self._states: dict[str, Json] = {}
        self._seen: dict[str, int] = {}
        self._assembler = LapAssembler(race=self._race)
        self._closed: list[ClosedLap] = []
        self._statuses: list[StatusAt] = []
        self._started: int | None = None
        self._now = 0
        self._fresh: dict[str, list[Row]] = {}
        self.account = Folded()

    def take(self, taken: Iterable[Message]) -> list[ClosedLap]:
        """The laps that messages close; each is handed out once."""
        closed: list[ClosedLap] = []
        for message in taken:
            self.account.messages += 1
            try:
                closed += self._fold(message)
            except _NotFolded as why:
                self.account.aside.append(set_aside(message, why.reason, str(why)))
        self._closed += closed
        self.account.late = self._assembler.late
        return closed

    def finish(self) -> list[ClosedLap]:
        """The laps that are over when nothing more will come."""
        closed = self._assembler.finish()
        self._closed += closed
        return closed

    def at(self, topic: str, *path: str) -> Json:
        """What was told last at a place of a topic's state; None if nothing was."""
        return at(self._states.get(topic), *path)

    @property
    def around(self) -> Around:
        """What the laps of the session are seen with, as far as it was told."""
        told = elements(self.at("RaceControlMessages", "Messages"))
        return Around(
            origin=self._origin,
            race=self._race,
            started=self._started,
            clock=self._clock,
            first_laps=self._first_laps,
            statuses=self._statuses,
            stints=stints_of_feed(self._states.get("TimingAppData")),
            drivers=drivers_of_feed(self._states.get("DriverList")),
            deletions=deletions(
                wording for _, item in told if (wording := text(at(item, "Message"))) is not None
            ),
        )

    def drain(self) -> SessionTables:
        """The rows that were not handed out before, and all laps."""
        fresh, self._fresh = self._fresh, {}
        return SessionTables(
            laps=lap_table(self._closed, self.around),
            weather=frame(F1_WEATHER, fresh.get("WeatherData", [])),
            track_status=frame(F1_TRACK_STATUS, fresh.get("TrackStatus", [])),
            race_control=frame(F1_RACE_CONTROL, fresh.get("RaceControlMessages", [])),
            session_status=frame(F1_SESSION_STATUS, fresh.get("SessionStatus", [])),
        )

    def state(self) -> Json:
        """What there is to save, as JSON, once the rows of `drain` are stored."""
        return {
            "version": _VERSION,
            "session": str(self._origin.session),
            "states": self._states,
            "seen": cast("Json", self._seen),
            "assembler": self._assembler.state(),
            "closed": cast("Json", [asdict(lap) for lap in self._closed]),
            "statuses": cast("Json", [list(entry) for entry in self._statuses]),
            "started": self._started,
            "now": self._now,
        }

    @classmethod
    def restored(
        cls,
        origin: Origin,
        state: Json,
        *,
        clock: SessionClock | None = None,
        first_laps: Mapping[int, int] | None = None,
    ) -> SessionFold:
        """A fold that goes on from `state()`; BadState if it is none of this session.

        Messages that were folded before are told by file and line, and set aside.
        """
        if not isinstance(state, dict) or state.get("version") != _VERSION:
            raise BadState("a session", f"its version is not {_VERSION}")
        if state.get("session") != str(origin.session):
            raise BadState("a session", f"it is of {state.get('session')}")
        session = cls(origin, clock=clock, first_laps=first_laps)
        session._assembler = LapAssembler.restored(state.get("assembler"))
        try:
            session._states = cast("dict[str, Json]", state["states"])
            session._seen = cast("dict[str, int]", state["seen"])
            session._closed = [_closed_lap(told) for _, told in elements(state["closed"])]
            session._statuses = [
                (since, code)
                for _, told in elements(state["statuses"])
                if (since := whole(at(told, "0"))) is not None
                and isinstance(code := at(told, "1"), str)
            ]
            session._started = whole(state["started"])
            session._now = whole(state["now"]) or 0
        except (KeyError, TypeError, ValueError) as error:
            raise BadState("a session", str(error)) from None
        return session

    def _fold(self, message: Message) -> list[ClosedLap]:
        place = f"{message.file}|{message.topic}"
        if message.line * _PARTS + message.part < self._seen.get(place, 0):
            raise _NotFolded("duplicate", "was folded before")
        topic = message.topic
        if topic.endswith(COMPRESSED):
            self.account.passed_on += 1
            self._seen[place] = message.line * _PARTS + message.part + 1
            return []
        if message.session_time is None and topic in _TIMED and not message.snapshot:
            raise _NotFolded("no_time", "its session time is not known")
        before = None if message.snapshot else self._states.get(topic)
        try:
            state = fold(before, message.payload)
        except Unfoldable as error:
            raise _NotFolded("unfoldable", str(error)) from None
        self._states[topic] = state
        self._now = max(self._now, message.session_time or 0)
        self._seen[place] = message.line * _PARTS + message.part + 1
        self.account.folded[topic] += 1
        self._rows(topic, state, message)
        return self._laps(message) if topic == "TimingData" else []

    def _rows(self, topic: str, state: Json, message: Message) -> None:
        """Rows that a message makes, and what laps will be seen with."""
        time = self._time(message)
        made: list[Row] = []
        if topic == "WeatherData":
            made = [observation(self._origin, state, message)]
        elif topic == "RaceControlMessages":
            made = list(messages(self._origin, state, message))
        elif topic == "TrackStatus":
            row = track_status(self._origin, state, message)
            made = [row]
            if row["code"] is not None:
                self._statuses.append((time, str(row["code"])))
        elif topic == "SessionStatus":
            row = session_status(self._origin, state, message)
            made = [row]
            if row["status"] == "Started" and self._started is None:
                self._started = time
        if made:
            self._fresh.setdefault(topic, []).extend(made)

    def _laps(self, message: Message) -> list[ClosedLap]:
        time = self._time(message)
        if message.snapshot:
            return self._assembler.snapshot(message.payload, time)
        return self._assembler.change(message.payload, time, message.file, message.line)

    def _time(self, message: Message) -> int:
        """Session time of a message: a state without one is of now."""
        return self._now if message.session_time is None else message.session_time


def fold_session(
    taken: Iterable[Message],
    origin: Origin,
    *,
    clock: SessionClock | None = None,
    first_laps: Mapping[int, int] | None = None,
) -> tuple[SessionTables, Folded]:
    """The rows of a whole session, and the account; messages may be in any order of topics."""
    session = SessionFold(origin, clock=clock, first_laps=first_laps)
    session.take(in_order_of_time(taken, clock))
    session.finish()
    return session.drain(), session.account


def in_order_of_time(
    taken: Iterable[Message], clock: SessionClock | None = None
) -> Iterator[Message]:
    """Messages with both times, in order of time, and of lines where times are equal.

    A message without any time, as the states that recorders write down, stays behind the message
    that stands before it in its file; the first ones of a file before the first that has a time.
    """
    latest: dict[str, int] = {}
    early: dict[str, list[Message]] = {}
    keyed: list[tuple[int, int, Message]] = []
    for place, told in enumerate(taken):
        message = clock.place(told) if clock else told
        time, before = message.session_time, latest.get(message.file)
        if before is None:
            if time is None:
                early.setdefault(message.file, []).append(message)
                continue
            keyed += [(time, place, first) for first in early.pop(message.file, ())]
        elif time is None or message.snapshot:
            # a state is of when it was asked for, whatever older time it carries
            time = max(before, before if time is None else time)
        latest[message.file] = time
        keyed.append((time, place, message))
    keyed.sort(key=lambda entry: entry[:2])
    return (message for message in [*chain(*early.values()), *(entry[2] for entry in keyed)])


def raw_messages(taken: Iterable[Message], origin: Origin) -> pl.DataFrame:
    """Rows of f1_messages: every message as it was delivered."""
    return frame(
        F1_MESSAGES,
        (
            {
                **origin.of(message),
                "topic": message.topic,
                "content": message.content,
                "part": message.part,
            }
            for message in taken
        ),
    )


def quarantined(aside: Iterable[SetAside], origin: Origin, stage: str) -> pl.DataFrame:
    """Rows of f1_quarantine of what was set aside while reading or folding."""
    return frame(
        F1_QUARANTINE,
        [
            {
                **origin.columns,
                "stage": stage,
                "table": "f1_messages",
                "reasons": [item.reason],
                "content": item.content,
                "source_file": item.file,
                "source_row": item.line,
            }
            for item in aside
        ],
    )


_TIMED = frozenset({"TimingData", "TrackStatus", "SessionStatus"})


class _NotFolded(ValueError):
    def __init__(self, reason: Reason, detail: str) -> None:
        self.reason: Reason = reason
        super().__init__(detail)


def _closed_lap(told: Json) -> ClosedLap:
    if not isinstance(told, dict):
        raise TypeError("a lap that is no object")
    lap = ClosedLap(**told)  # pyright: ignore[reportArgumentType]
    return replace(lap, sectors=tuple(lap.sectors), sector_ends=tuple(lap.sector_ends))
