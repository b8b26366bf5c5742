"""What the generators make comes back from the same readers that read real feeds."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from ngsim_assets.f1.clock import clock_of
from ngsim_assets.f1.neutralisations.evidence import of_messages
from ngsim_assets.f1.neutralisations.table import neutralisations
from ngsim_assets.f1.origin import Origin
from ngsim_assets.f1.reading import feed_lines, recordings
from ngsim_assets.f1.reading.messages import Message
from ngsim_assets.f1.sessions import of_messages as session_of
from ngsim_assets.f1.simulate import (
    Scenario,
    SimulatedSession,
    feed_files,
    recording_lines,
    simulate,
    simulate_to,
)
from ngsim_assets.f1.simulation.scenario import LEAD_IN
from ngsim_assets.f1.telemetry.ranges import Measured
from ngsim_assets.f1.telemetry.streams import car_data, positions
from ngsim_assets.f1.timing.session import SessionTables, fold_session

_TELEMETRY = (LEAD_IN - 2_000, LEAD_IN + 20_000)
_LAP_COLUMNS = (
    "driver_number",
    "lap_number",
    "stint",
    "lap_time_ms",
    "sector1_ms",
    "sector2_ms",
    "sector3_ms",
    "lap_start_ms",
    "lap_end_ms",
    "pit_in_ms",
    "pit_out_ms",
    "compound",
    "tyre_life",
    "position",
    "simulated",
)


@pytest.fixture(scope="module")
def session() -> SimulatedSession:
    """A race with a safety car and a virtual one."""
    return simulate(Scenario("monaco", laps=30, cars=8, seed=12), telemetry=_TELEMETRY)


@pytest.fixture(scope="module")
def messages(session: SimulatedSession) -> list[Message]:
    """Its feed, read."""
    read: list[Message] = []
    for name, content in feed_files(session.messages).items():
        topic = feed_lines.topic_of(name)
        lines = content.splitlines(keepends=True)
        reading = feed_lines.read_lines(lines, str(session.scenario.session), topic, name)
        assert reading.account.complete
        assert reading.aside == []
        read += reading.messages
    return read


@pytest.fixture(scope="module")
def tables(session: SimulatedSession, messages: list[Message]) -> SessionTables:
    """Its feed, folded."""
    folded, account = fold_session(messages, session.origin, clock=clock_of(messages))
    assert account.complete
    assert account.aside == []
    return folded


def test_laps_come_back_to_the_millisecond(
    session: SimulatedSession, tables: SessionTables
) -> None:
    read = tables.laps.select(_LAP_COLUMNS).sort("driver_number", "lap_number")
    truth = session.laps.select(_LAP_COLUMNS).sort("driver_number", "lap_number")
    assert truth.height > 200
    assert truth["pit_in_ms"].count() >= 10
    assert read.equals(truth.cast(read.schema))


def test_weather_comes_back_to_the_tenth(session: SimulatedSession, tables: SessionTables) -> None:
    read = tables.weather.with_columns(pl.col("valid_time").dt.truncate("1m"))
    names = (
        "air_temperature",
        "track_temperature",
        "humidity",
        "pressure",
        "wind_speed",
        "rainfall",
    )
    truth = session.weather.join(read.select("valid_time"), on="valid_time", how="semi")
    assert read.height > 40
    assert read.select(names).equals(truth.select(names))
    assert read["simulated"].all()


def test_phases_come_back_from_the_status_and_lap_times_show_them(
    session: SimulatedSession, messages: list[Message], tables: SessionTables
) -> None:
    assert {took.planned.kind for took in session.neutralisations} == {
        "safety_car",
        "virtual_safety_car",
    }
    found = neutralisations(
        session.scenario.session, of_messages(messages, tables.laps), simulated=True
    )
    rows = found.frame.select("kind", "start_ms", "end_ms", "start_lap").rows()
    assert rows == [
        (took.planned.kind, took.start, took.end, took.first_lap)
        for took in session.neutralisations
    ]
    announced = [took.announced for took in session.neutralisations]
    # of a safety car only race control tells, a moment before the status would
    assert found.frame["ending_ms"].to_list() == [
        time - 100 * (kind == "safety_car")
        for time, kind in zip(announced, found.frame["kind"], strict=True)
    ]
    assert found.frame["confirmed"].all()
    assert found.frame["seen_in_laps"].all()
    assert found.frame["simulated"].all()
    assert found.frame["cause"].null_count() == 0
    assert found.detected is not None
    kinds = [phase.kind for phase in found.detected.phases]
    assert kinds == [took.planned.kind for took in session.neutralisations]


def test_telemetry_comes_back_exactly(session: SimulatedSession, messages: list[Message]) -> None:
    truth = session.telemetry
    assert truth is not None
    cars, places = car_data(messages, session.origin), positions(messages, session.origin)
    assert cars is not None
    assert places is not None
    _same(cars.measured, truth, "rpm", "gear", "throttle", "brake", "drs")
    kmh = (3.6 * cars.measured.frame["speed"]).round().cast(pl.Int32)
    assert kmh.to_list() == truth["speed_kmh"].to_list()
    metres = truth.with_columns(
        pl.col("x_dm").alias("x"), pl.col("y_dm").alias("y"), pl.col("z_dm").alias("z")
    )
    read = places.measured.frame.with_columns((pl.col("x", "y", "z") * 10).round().cast(pl.Int32))
    assert read.select("timestamp", "x", "y", "z", "status").equals(
        metres.select("timestamp", "x", "y", "z", "status")
    )
    assert places.measured.other_cars == {241: truth["timestamp"].n_unique()}
    assert cars.measured.frame["simulated"].all()


def _same(measured: Measured, truth: pl.DataFrame, *columns: str) -> None:
    names = ("driver_number", "timestamp", *columns)
    assert measured.rejected.is_empty()
    assert measured.nulled == {}
    assert measured.frame.select(names).equals(truth.select(names))


def test_a_recording_of_the_hub_says_the_same(
    session: SimulatedSession, tables: SessionTables
) -> None:
    key, start = session.scenario.session, session.scenario.feed_start
    reading = recordings.read_lines(recording_lines(session.messages, start), str(key), "r.txt")
    assert reading.aside == []
    origin = Origin(key, "signalr", simulated=True)
    again, account = fold_session(reading.messages, origin, clock=clock_of(reading.messages))
    assert account.complete
    times = ("driver_number", "lap_number", "lap_time_ms", "sector1_ms", "lap_end_ms")
    assert again.laps.select(times).equals(tables.laps.select(times))
    # the feed of the archive has no clock of its own; that of its heartbeats is exact here
    assert again.laps["timestamp"].equals(tables.laps["timestamp"])


def test_a_session_says_everywhere_that_it_is_simulated(
    session: SimulatedSession, messages: list[Message]
) -> None:
    assert str(session.scenario.session) == "2026-07-19_simulated-monaco_race"
    info = session_of(messages)
    assert info is not None
    assert info.key == session.scenario.session
    assert info.circuit is not None
    assert info.circuit.key == "monaco"
    assert info.start == session.scenario.start
    assert session.laps["simulated"].all()
    assert session.weather["simulated"].all()


@pytest.mark.parametrize("layout", ["feed", "recording"])
def test_equal_scenarios_make_equal_files(tmp_path: Path, layout: str) -> None:
    scenario = Scenario("spa", laps=3, cars=3, seed=4)
    span = (LEAD_IN, LEAD_IN + 2_000)
    for folder in ("a", "b"):
        simulate_to(
            tmp_path / folder,
            scenario,
            layout="feed" if layout == "feed" else "recording",
            telemetry=span,
            rate=20,
        )
    made = sorted(
        p.relative_to(tmp_path / "a") for p in (tmp_path / "a").rglob("*.*") if p.is_file()
    )
    assert len(made) == (4 if layout == "recording" else 15)
    for path in made:
        assert (tmp_path / "a" / path).read_bytes() == (tmp_path / "b" / path).read_bytes()
    other = simulate(Scenario("spa", laps=3, cars=3, seed=5))
    assert not other.laps.equals(simulate(scenario).laps)
