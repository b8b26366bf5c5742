"""What the generators promise: paces, weather, telemetry, incidents."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import polars as pl
import pytest

from ngsim_assets.f1.errors import UnknownCircuit
from ngsim_assets.f1.simulate import (
    CannotSimulateSession,
    MockSafetyCarGenerator,
    MockTelemetryGenerator,
    MockTimingGenerator,
    MockWeatherGenerator,
    Scenario,
)
from ngsim_assets.f1.simulation.race import COMPOUNDS, DEGRADATION, EVOLUTION, FUEL
from ngsim_assets.f1.simulation.scenario import LEAD_IN
from ngsim_assets.f1.simulation.track import track_of
from ngsim_assets.f1.telemetry.errors import RateOutOfRange


def _quiet(circuit: str, laps: int | None = None) -> MockTimingGenerator:
    """A race without neutralisations."""
    for seed in range(100):
        scenario = Scenario(circuit, laps=laps, seed=seed)
        if not MockSafetyCarGenerator(scenario).planned:
            return MockTimingGenerator(scenario)
    raise AssertionError("no race without a safety car in 100")


def test_lap_times_follow_tyres_fuel_and_track() -> None:
    laps = _quiet("spa").laps()
    clear = laps.filter(
        pl.col("pit_in_ms").is_null() & pl.col("pit_out_ms").is_null() & (pl.col("lap_number") > 1)
    )
    # per car: time = own + compound + DEGRADATION * age + (EVOLUTION - FUEL) * lap
    own = clear.select(
        "driver_number",
        (pl.col("lap_time_ms") - pl.col("compound").replace_strict(COMPOUNDS)).alias("t"),
        pl.col("tyre_life").alias("age"),
        pl.col("lap_number").alias("lap"),
    ).with_columns(
        pl.col("t", "age", "lap") - pl.col("t", "age", "lap").mean().over("driver_number")
    )
    matrix = own.select("age", "lap").to_numpy().astype(float)
    (age, lap), *_ = np.linalg.lstsq(matrix, own["t"].to_numpy().astype(float), rcond=None)
    assert age == pytest.approx(DEGRADATION, abs=2)
    assert lap == pytest.approx(EVOLUTION - FUEL, abs=2)
    assert (DEGRADATION, FUEL, EVOLUTION) == (30, 35, -20)


def test_sectors_add_up_and_stops_cost_what_they_cost() -> None:
    generator = _quiet("monaco")
    laps = generator.laps()
    sums = laps.select(pl.sum_horizontal("sector1_ms", "sector2_ms", "sector3_ms"))
    assert sums.to_series().to_list() == laps["lap_time_ms"].to_list()
    assert laps["pit_in_ms"].count() >= 20
    joined = laps.with_columns(pl.col("lap_time_ms").median().over("driver_number").alias("usual"))
    cost = joined.with_columns((pl.col("lap_time_ms") - pl.col("usual")).alias("over"))
    into = cost.filter(pl.col("pit_in_ms").is_not_null())["over"].mean()
    out = cost.filter(pl.col("pit_out_ms").is_not_null())["over"].mean()
    assert isinstance(into, float)
    assert isinstance(out, float)
    assert into + out == pytest.approx(1000 * generator.scenario.profile.pit_loss, abs=2500)


@pytest.mark.parametrize(("circuit", "share"), [("monaco", 0.70), ("spa", 0.25)])
def test_safety_cars_are_as_likely_as_the_circuit_has_them(circuit: str, share: float) -> None:
    plans = [MockSafetyCarGenerator(Scenario(circuit, seed=seed)).planned for seed in range(300)]
    having = [any(p.kind == "safety_car" for p in planned) for planned in plans]
    assert np.mean(having) == pytest.approx(share, abs=0.05)
    every = [plan for planned in plans for plan in planned]
    for kind, low, high in (("safety_car", 2, 5), ("virtual_safety_car", 1, 3)):
        laps = [plan.laps for plan in every if plan.kind == kind]
        assert (min(laps), max(laps)) == (low, high)
    assert {plan.incident.severity for plan in every} == {2, 3, 4, 5}
    assert all(plan.incident.retires == (plan.incident.severity >= 3) for plan in every)


def test_a_car_that_retires_drives_no_more_laps() -> None:
    for seed in range(100):
        generator = MockTimingGenerator(Scenario("monaco", laps=30, cars=6, seed=seed))
        if generator.race.retired:
            break
    (car, moment), *_ = generator.race.retired.items()
    laps = generator.laps().filter(pl.col("driver_number") == car)
    assert laps.height < 30
    assert laps.is_empty() or int(str(laps["lap_end_ms"].max())) <= moment


@pytest.mark.parametrize("circuit", ["monaco", "singapore", "spa", "bahrain"])
def test_the_track_is_8_to_15_degrees_warmer_than_the_air(circuit: str) -> None:
    weather = MockWeatherGenerator(Scenario(circuit, seed=2))
    truth = weather.truth()
    excess = (truth["track_temperature"] - truth["air_temperature"]).round(1)
    assert excess.is_between(8, 15).all()
    profile = weather.scenario.profile.weather
    assert truth["air_temperature"].mean() == pytest.approx(profile.air, abs=5)
    assert truth["pressure"].mean() == pytest.approx(weather.scenario.place.pressure, abs=9)


def test_it_rains_a_tenth_of_the_time() -> None:
    rain = [
        MockWeatherGenerator(Scenario("spa", seed=seed)).truth()["rainfall"].mean()
        for seed in range(20)
    ]
    assert np.mean([float(str(share)) for share in rain]) == pytest.approx(0.10, abs=0.03)


def test_a_forecast_foretells_the_hours_to_come() -> None:
    scenario = Scenario("singapore", seed=3)
    weather = MockWeatherGenerator(scenario)
    told = weather.forecast(scenario.start, hours=6)
    hourly = told["hourly"]
    assert isinstance(hourly, dict)
    assert hourly["time"] == [f"2026-07-19T{hour}:00" for hour in range(13, 19)]
    temperatures = hourly["temperature_2m"]
    assert isinstance(temperatures, list)
    at = weather.truth().filter(
        pl.col("valid_time") == scenario.start.replace(minute=0) + timedelta(hours=2)
    )
    assert temperatures[2] == pytest.approx(at.item(0, "air_temperature"), abs=2.5)
    assert told == weather.forecast(scenario.start, hours=6)


@pytest.fixture(scope="module")
def race() -> MockTimingGenerator:
    return MockTimingGenerator(Scenario("bahrain", laps=5, cars=4, seed=8))


@pytest.mark.parametrize("rate", [10, 60])
def test_telemetry_keeps_to_the_track_and_to_one_pedal(
    race: MockTimingGenerator, rate: float
) -> None:
    span = (LEAD_IN - 1_000, LEAD_IN + 200_000)
    rows = MockTelemetryGenerator(race.scenario, race.race, span=span, rate=rate).rows()
    steps = rows.filter(pl.col("driver_number") == 1)["time_ms"].diff().drop_nulls()
    assert steps.mean() == pytest.approx(1000 / rate, rel=0.01)
    assert rows.filter((pl.col("throttle") > 0) & (pl.col("brake") > 0)).is_empty()
    assert rows["brake"].unique().sort().to_list() == [0, 100]
    track = track_of("bahrain")
    at = rows["lap_share"].to_numpy() * len(track.limit)
    limit = np.maximum(track.limit[at.astype(int) % len(track.limit)], 0)
    after = track.limit[(at.astype(int) + 1) % len(track.limit)]
    assert (rows["speed_kmh"].to_numpy() <= 3.6 * np.maximum(limit, after) + 0.5).all()
    assert rows["speed_kmh"].max() > 280
    assert rows["gear"].max() == 8
    assert rows.filter(pl.col("speed_kmh") == 0)["gear"].unique().to_list() == [0]
    assert rows["rpm"].is_between(4_000, 12_000).all()
    moving = rows.filter(pl.col("speed_kmh") > 0)
    assert moving["gear"].min() == 1
    temperatures = ("engine_temperature", "brake_temperature", "tyre_temperature")
    assert rows.select(pl.col(temperatures).is_between(40, 1100).all()).row(0) == (True,) * 3


def test_cars_start_from_standing_and_use_drag_reduction_from_the_third_lap(
    race: MockTimingGenerator,
) -> None:
    first = MockTelemetryGenerator(
        race.scenario, race.race, span=(LEAD_IN - 1_000, LEAD_IN + 3_000), rate=10
    ).rows()
    assert first.filter(pl.col("time_ms") < LEAD_IN)["speed_kmh"].max() == 0
    assert first.filter(pl.col("time_ms") == LEAD_IN + 500)["speed_kmh"].max() < 60
    starts = race.race.lap_starts
    early, late = (
        MockTelemetryGenerator(race.scenario, race.race, span=span).rows()["drs"].unique().to_list()
        for span in ((LEAD_IN, starts[2] - 1_000), (starts[3], starts[4]))
    )
    assert early == [0]
    assert {0, 8, 12} == set(late)


def test_the_feed_rate_is_that_of_the_feed(race: MockTimingGenerator) -> None:
    generator = MockTelemetryGenerator(race.scenario, race.race)
    steps = generator.rows().filter(pl.col("driver_number") == 1)["time_ms"].diff().drop_nulls()
    assert steps.median() == 240
    assert 1000 / float(str(steps.mean())) == pytest.approx(4.1, abs=0.3)
    sizes = [
        len(emitted.content["Entries"])  # type: ignore[index,arg-type]
        for emitted in generator.messages()
        if emitted.topic == "CarData.z"
    ]
    assert min(sizes) >= 1
    assert max(sizes) <= 6


def test_what_cannot_be_simulated_is_refused(race: MockTimingGenerator) -> None:
    with pytest.raises(UnknownCircuit):
        Scenario("atlantis")
    with pytest.raises(CannotSimulateSession, match="cars 21"):
        Scenario(cars=21)
    with pytest.raises(CannotSimulateSession, match="laps 0"):
        Scenario(laps=0)
    with pytest.raises(RateOutOfRange):
        MockTelemetryGenerator(race.scenario, race.race, rate=5)


def test_any_circuit_can_be_raced_on() -> None:
    generator = MockTimingGenerator(Scenario("monza", laps=2, cars=2))
    assert generator.laps().height == 4
    assert track_of("monza").lap_time < generator.scenario.profile.lap_time
