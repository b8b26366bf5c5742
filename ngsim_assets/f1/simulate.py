"""Races whose truth is known, told the way the feeds tell them.

Belongs here: what a simulated session consists of, and its files. Does not belong here: how a race
runs, what circuits are like, how messages are written (simulation/).

Everything is drawn from the seed of the scenario: equal scenarios give equal bytes. Everything is
marked: the meeting's name and so the session's key begin with "simulated", tables of truth have a
column `simulated`, and rows read from these messages are to be given `Origin(..., simulated=True)`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import polars as pl

from ngsim_assets.f1.origin import Origin
from ngsim_assets.f1.simulation.safety_car import MockSafetyCarGenerator, Took
from ngsim_assets.f1.simulation.scenario import SIMULATED, CannotSimulateSession, Scenario
from ngsim_assets.f1.simulation.telemetry import MockTelemetryGenerator
from ngsim_assets.f1.simulation.timing import MockTimingGenerator
from ngsim_assets.f1.simulation.weather import MockWeatherGenerator
from ngsim_assets.f1.simulation.wire import (
    Emitted,
    feed_files,
    in_order,
    recording_lines,
    write_feed,
    write_recording,
)
from ngsim_assets.storage.atomic import make_folder

__all__ = [
    "SIMULATED",
    "CannotSimulateSession",
    "Emitted",
    "MockSafetyCarGenerator",
    "MockTelemetryGenerator",
    "MockTimingGenerator",
    "MockWeatherGenerator",
    "Scenario",
    "SimulatedSession",
    "feed_files",
    "recording_lines",
    "simulate",
    "simulate_to",
]

Layout = Literal["feed", "recording"]


@dataclass(frozen=True, slots=True)
class SimulatedSession:
    """A race that never took place.

    Attributes:
        messages: all of them, in order of time.
        laps, weather, telemetry: what is true, each with a column `simulated`; no telemetry if
            none was asked for.
        neutralisations: as they fell out.
        forecast: as Open-Meteo would have told it when the feed began.
    """

    scenario: Scenario
    messages: list[Emitted]
    laps: pl.DataFrame
    weather: pl.DataFrame
    telemetry: pl.DataFrame | None
    neutralisations: list[Took]
    forecast: dict[str, object]

    @property
    def origin(self) -> Origin:
        """What rows read from its feed come from."""
        return Origin(self.scenario.session, "livetiming", simulated=True)


def simulate(
    scenario: Scenario | None = None,
    *,
    telemetry: tuple[int, int] | None = None,
    rate: float | None = None,
) -> SimulatedSession:
    """Simulate a race with its timing, weather, incidents and, for a while, telemetry.

    Args:
        telemetry: from and to, ms since the start of the feed; None: none.
        rate: rows of telemetry a second and car, 10 to 60; None: about four, as the feed has them.
    """
    scenario = scenario or Scenario()
    timing = MockTimingGenerator(scenario)
    weather = MockWeatherGenerator(scenario)
    streams = [timing.messages(), list(weather.messages(timing.end))]
    rows: pl.DataFrame | None = None
    if telemetry is not None:
        cars = MockTelemetryGenerator(scenario, timing.race, span=telemetry, rate=rate)
        streams.append(list(cars.messages()))
        rows = cars.rows()
    return SimulatedSession(
        scenario,
        in_order(*streams),
        timing.laps(),
        weather.truth(),
        rows,
        timing.race.took,
        {**weather.forecast(scenario.feed_start)},
    )


def simulate_to(
    folder: Path,
    scenario: Scenario | None = None,
    *,
    layout: Layout = "feed",
    telemetry: tuple[int, int] | None = None,
    rate: float | None = None,
) -> SimulatedSession:
    """Simulate a race into `folder/<session>/`, and its truth into `folder/<session>/truth/`.

    `feed` writes a file per topic as the archive has them; `recording` one file of all messages,
    `recording.txt`, as clients of the live hub write it down.
    """
    session = simulate(scenario, telemetry=telemetry, rate=rate)
    place = folder / str(session.scenario.session)
    make_folder(place / "truth")
    if layout == "feed":
        write_feed(session.messages, place)
    else:
        write_recording(session.messages, session.scenario.feed_start, place / "recording.txt")
    session.laps.write_parquet(place / "truth" / "laps.parquet")
    session.weather.write_parquet(place / "truth" / "weather.parquet")
    if session.telemetry is not None:
        session.telemetry.write_parquet(place / "truth" / "telemetry.parquet")
    return session
