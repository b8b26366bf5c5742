"""Sessions as the tables have them once they are validated, for tests of metrics and reports."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache

import polars as pl

from ngsim_assets.f1.assess import SessionScans
from ngsim_assets.f1.clock import SessionClock, clock_of
from ngsim_assets.f1.neutralisations.evidence import of_tables
from ngsim_assets.f1.neutralisations.table import neutralisations
from ngsim_assets.f1.origin import Origin
from ngsim_assets.f1.reading import feed_lines
from ngsim_assets.f1.reading.messages import Message, SetAside
from ngsim_assets.f1.sessions import kind_of
from ngsim_assets.f1.simulate import Scenario, SimulatedSession, feed_files, simulate
from ngsim_assets.f1.simulation.scenario import LEAD_IN
from ngsim_assets.f1.telemetry.streams import car_data, positions
from ngsim_assets.f1.timing.session import (
    SessionTables,
    fold_session,
    quarantined,
    raw_messages,
)
from ngsim_assets.f1.validate import (
    validated_laps,
    validated_race_control,
    validated_track_status,
    validated_weather,
)

NOW = datetime(2026, 11, 1, tzinfo=UTC)


def scans_of(
    origin: Origin,
    messages: list[Message],
    tables: SessionTables,
    clock: SessionClock | None = None,
    *,
    unread: Iterable[SetAside] = (),
    unfolded: Iterable[SetAside] = (),
) -> SessionScans:
    """The tables of a session out of its messages, judged as the stages do."""
    placed = [clock.place(message) if clock else message for message in messages]
    laps = validated_laps(tables.laps, race=kind_of(origin.session.session) == "race", now=NOW)
    weather = validated_weather(tables.weather, circuit=None, now=NOW)
    status = validated_track_status(tables.track_status, now=NOW)
    told = validated_race_control(tables.race_control, now=NOW)
    known = of_tables(status.valid, told.valid, tables.session_status, laps.valid)
    found = neutralisations(origin.session, known)
    cars, places = car_data(placed, origin), positions(placed, origin)
    return SessionScans(
        messages=raw_messages(placed, origin).lazy(),
        laps=laps.valid.lazy(),
        weather=weather.valid.lazy(),
        track_status=status.valid.lazy(),
        race_control=told.valid.lazy(),
        session_status=tables.session_status.lazy(),
        neutralisations=found.frame.lazy(),
        quarantine=pl.concat(
            [
                quarantined(unread, origin, "reading"),
                quarantined(unfolded, origin, "folding"),
                *(judged.quarantined for judged in (laps, weather, status, told)),
            ]
        ).lazy(),
        telemetry=None if cars is None else cars.measured.frame.lazy(),
        positions=None if places is None else places.measured.frame.lazy(),
    )


@dataclass(frozen=True)
class Race:
    """A simulated race, its feed and its tables."""

    session: SimulatedSession
    messages: list[Message]
    scans: SessionScans


@cache
def race() -> Race:
    """A race with a safety car and a virtual one, and half a minute of telemetry; made once."""
    scenario = Scenario("monaco", laps=30, cars=8, seed=12)
    session = simulate(scenario, telemetry=(LEAD_IN, LEAD_IN + 30_000))
    read: list[Message] = []
    for name, content in feed_files(session.messages).items():
        lines = content.splitlines(keepends=True)
        topic = feed_lines.topic_of(name)
        read += feed_lines.read_lines(lines, str(scenario.session), topic, name).messages
    clock = clock_of(read)
    tables, account = fold_session(read, session.origin, clock=clock)
    scans = scans_of(session.origin, read, tables, clock, unfolded=account.aside)
    return Race(session, read, scans)
