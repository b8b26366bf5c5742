"""The five live ingestors: what each takes of the feed, and the rows it has made of it.

timing: laps, status of track and session, race control. weather: observations. safety car:
neutralisations, of its own reading of status and race control, and of laps as far as timing has
them. telemetry: car data and positions, which are added to the tables. historical: what the store
holds already.

Belongs here: from messages to rows, and the account of it. Does not belong here: queues and
restarts (workers.py), how rows get to tables (live_tables.py).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import ClassVar, Final, Protocol

import polars as pl

from ngsim_assets.f1.clock import placed
from ngsim_assets.f1.live.known import Known
from ngsim_assets.f1.model import (
    F1_LAPS,
    F1_RACE_CONTROL,
    F1_SESSION_STATUS,
    F1_TRACK_STATUS,
    F1_WEATHER,
)
from ngsim_assets.f1.neutralisations.evidence import of_messages, of_tables
from ngsim_assets.f1.neutralisations.model import F1_NEUTRALISATIONS
from ngsim_assets.f1.neutralisations.table import neutralisations
from ngsim_assets.f1.reading.messages import Message
from ngsim_assets.f1.telemetry.model import F1_POSITIONS, F1_TELEMETRY
from ngsim_assets.f1.telemetry.streams import CAR_DATA, POSITION, car_data, positions
from ngsim_assets.f1.timing.session import SessionFold, SessionTables, quarantined
from ngsim_assets.f1.validate import (
    Validated,
    validated_laps,
    validated_race_control,
    validated_session_status,
    validated_track_status,
    validated_weather,
)
from ngsim_assets.storage.schema import Table

TOGETHER: Final = 250
"""Messages of telemetry that are decoded at a time: a call costs some 3 ms whatever it is given."""


@dataclass(frozen=True, slots=True)
class Made:
    """What an ingestor has for the tables.

    Attributes:
        whole: all rows of small tables. more: rows to be put behind those of large ones, and the
            line of the recording up to which the table then has them all.
        refused: rows of f1_quarantine that belong to `whole`.
    """

    whole: Mapping[Table, pl.DataFrame] = field(default_factory=dict[Table, pl.DataFrame])
    more: Mapping[Table, tuple[pl.DataFrame, int]] = field(
        default_factory=dict[Table, tuple[pl.DataFrame, int]]
    )
    refused: pl.DataFrame | None = None


class LiveIngestor(Protocol):
    """Makes rows of the messages of some topics.

    Attributes:
        aside: what of messages and rows was set aside, by reason.
        rows: rows that wait to be stored, where they wait for a batch of them.
    """

    aside: Counter[str]
    rows: int

    def take(self, message: Message) -> None:
        """The next message of its topics."""
        ...

    def make(self, *, over: bool) -> Made:
        """Its rows as they are now; `over`: nothing more will come."""
        ...


class _Folding:
    """Folds its topics; keeps the rows that were told once."""

    def __init__(self, known: Known) -> None:
        self.aside: Counter[str] = Counter()
        self.rows = 0
        self._known = known
        self._fold: SessionFold | None = None
        self._early: list[Message] = []
        self._over = False
        self._counted = 0
        self._told: dict[Table, list[pl.DataFrame]] = {}

    def take(self, message: Message) -> None:
        """Fold it in, once the clock is known: what is told on subscription has no time."""
        clock = self._known.clock
        if clock is None:
            self._early.append(message)
            return
        early, self._early = self._early, []
        self._folding().take(clock.place(told) for told in (*early, message))

    def _folding(self) -> SessionFold:
        if self._fold is None:
            known = self._known
            self._fold = SessionFold(known.origin, clock=known.clock, first_laps=known.first_laps)
        return self._fold

    def _drained(self, *, over: bool) -> SessionTables:
        """Laps as they are now, and all rows of the other tables so far."""
        fold = self._folding()
        if over and not self._over:
            self._over = True
            fold.take(self._early)
            fold.finish()
        fresh = fold.drain()
        news = fold.account.aside[self._counted :]
        self._counted += len(news)
        self.aside.update(item.reason for item in news)
        return SessionTables(
            fresh.laps,
            self._all(F1_WEATHER, fresh.weather),
            self._all(F1_TRACK_STATUS, fresh.track_status),
            self._all(F1_RACE_CONTROL, fresh.race_control),
            self._all(F1_SESSION_STATUS, fresh.session_status),
        )

    def _all(self, table: Table, fresh: pl.DataFrame) -> pl.DataFrame:
        parts = self._told.setdefault(table, [])
        if fresh.height or not parts:
            parts.append(fresh)
        return pl.concat(parts)

    def _refused(self, judged: Iterable[Validated]) -> pl.DataFrame:
        bad = [quarantined(self._folding().account.aside, self._known.origin, "folding")]
        return pl.concat([*bad, *(rows.quarantined for rows in judged)])


class Timing(_Folding):
    """Laps, status of track and session, race control."""

    topics: ClassVar = frozenset(
        {
            "SessionInfo",
            "SessionStatus",
            "DriverList",
            "TimingData",
            "TimingAppData",
            "TrackStatus",
            "RaceControlMessages",
            "LapCount",
        }
    )

    def make(self, *, over: bool) -> Made:
        """All of it as it is now: ends, tyres and deletions of laps are told later."""
        told = self._drained(over=over)
        laps = validated_laps(told.laps, race=self._known.race)
        status = validated_track_status(told.track_status)
        control = validated_race_control(told.race_control)
        session = validated_session_status(told.session_status)
        self._known.laps = laps.valid
        whole = {
            F1_LAPS: laps.valid,
            F1_TRACK_STATUS: status.valid,
            F1_RACE_CONTROL: control.valid,
            F1_SESSION_STATUS: session.valid,
        }
        return Made(whole, refused=self._refused((laps, status, control, session)))


class Weather(_Folding):
    """What the weather is at the circuit."""

    topics: ClassVar = frozenset({"WeatherData"})

    def make(self, *, over: bool) -> Made:
        """Every observation so far."""
        told = self._drained(over=over)
        info = self._known.info
        weather = validated_weather(told.weather, circuit=info.circuit if info else None)
        return Made({F1_WEATHER: weather.valid}, refused=self._refused((weather,)))


class SafetyCar(_Folding):
    """Neutralisations; where timing fails, without what laps tell of them."""

    topics: ClassVar = frozenset(
        {"TrackStatus", "RaceControlMessages", "SessionStatus", "LapCount"}
    )

    def __init__(self, known: Known) -> None:
        super().__init__(known)
        self._counting: list[Message] = []

    def take(self, message: Message) -> None:
        """Fold it in; what counts laps of the leader is kept, for where there are no laps."""
        if message.topic in {"LapCount", "SessionStatus"}:
            self._counting.append(message)
        super().take(message)

    def make(self, *, over: bool) -> Made:
        """Every phase so far; the last one may be on."""
        told = self._drained(over=over)
        control = validated_race_control(told.race_control).valid
        clock, laps = self._known.clock, self._known.laps
        leader = [*of_messages(placed(self._counting, clock)).leader]
        known = of_tables(
            validated_track_status(told.track_status).valid,
            control if control.height else None,
            validated_session_status(told.session_status).valid,
            None if laps is not None and laps.is_empty() and leader else laps,
        )
        if known.laps is None:
            known = replace(known, leader=leader)
        origin = self._known.origin
        found = neutralisations(origin.session, known, simulated=origin.simulated)
        return Made({F1_NEUTRALISATIONS: found.frame})


class Telemetry:
    """Car data and positions, in batches.

    Args:
        covered: up to which line of the recording a table has its rows.
    """

    topics: ClassVar = frozenset({CAR_DATA, POSITION})

    def __init__(self, known: Known, covered: Callable[[Table], int]) -> None:
        self.aside: Counter[str] = Counter()
        self.rows = 0
        self._known = known
        self._covered = {table: covered(table) for table in (F1_TELEMETRY, F1_POSITIONS)}
        self._waiting: dict[Table, list[Message]] = {F1_TELEMETRY: [], F1_POSITIONS: []}
        self._frames: dict[Table, list[pl.DataFrame]] = {F1_TELEMETRY: [], F1_POSITIONS: []}
        self._last: dict[Table, int] = {}

    def take(self, message: Message) -> None:
        """Keep it until some can be decoded together; what the table has already is left out."""
        table = F1_TELEMETRY if message.topic == CAR_DATA else F1_POSITIONS
        if message.line <= self._covered[table]:
            return
        self._last[table] = message.line
        waiting = self._waiting[table]
        waiting.append(message)
        if len(waiting) >= TOGETHER:
            self._decode(table)

    def make(self, *, over: bool) -> Made:
        """The rows since the last batch."""
        more: dict[Table, tuple[pl.DataFrame, int]] = {}
        for table, frames in self._frames.items():
            self._decode(table)
            if frames:
                more[table] = (pl.concat(frames), self._last[table])
            self._frames[table] = []
        self.rows = 0
        return Made(more=more)

    def _decode(self, table: Table) -> None:
        messages, self._waiting[table] = self._waiting[table], []
        read = car_data if table is F1_TELEMETRY else positions
        # not by DriverList: a feed may tell it bit by bit, and a car not told of yet would be lost
        rows = read(messages, self._known.origin)
        if rows is None:
            return
        self.aside.update(item.reason for item in rows.aside)
        self.aside["rejected_row"] += rows.measured.rejected.height
        self.aside["other_car"] += rows.measured.other_cars.total()
        self.aside = +self.aside
        frame = rows.measured.frame
        if frame.height:
            self._frames[table].append(frame)
            self.rows += frame.height
