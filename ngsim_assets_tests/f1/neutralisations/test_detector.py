"""Lap times alone show neutralisations, and neither stops nor rain nor qualifying."""

from __future__ import annotations

import polars as pl

from ngsim_assets.f1.neutralisations.detector import detect
from ngsim_assets_tests.f1.neutralisations.races import race


def _slow(factors: dict[int, float]) -> pl.DataFrame:
    return race(50, 18, lambda lap: factors.get(lap, 1.0))


def test_a_safety_car_is_found_with_its_laps() -> None:
    detected = detect(_slow({12: 1.2, 13: 1.5, 14: 1.5, 15: 1.45}))
    (phase,) = detected.phases
    assert (phase.kind, phase.first_lap, phase.last_lap) == ("safety_car", 12, 15)
    assert phase.confidence > 0.9
    assert phase.start_ms is not None
    assert phase.end_ms is not None
    assert detected.laps.filter("neutralised")["lap_number"].to_list() == [12, 13, 14, 15]
    assert detected.laps.filter(~pl.col("neutralised"))["confidence"].min() > 0.9


def test_kinds_are_told_by_how_slow_the_field_is() -> None:
    kinds = [phase.kind for phase in detect(_slow({8: 1.3, 20: 1.55, 21: 1.5, 33: 9.0})).phases]
    assert kinds == ["virtual_safety_car", "safety_car", "red_flag"]


def test_the_lap_out_of_the_pits_after_a_red_flag_is_not_judged_as_one() -> None:
    detected = detect(_slow({20: 9.0, 21: 1.4}))
    assert [(p.first_lap, p.last_lap) for p in detected.phases] == [(20, 20)]


def test_a_lap_between_two_neutralised_ones_is_one_though_many_caught_up_in_it() -> None:
    detected = detect(_slow({20: 1.3, 21: 1.08, 22: 1.4}))
    assert [(p.first_lap, p.last_lap) for p in detected.phases] == [(20, 22)]
    assert len(detect(_slow({20: 1.3, 21: 1.0, 22: 1.4})).phases) == 2


def test_a_yellow_flag_a_standing_start_and_fuel_are_none() -> None:
    laps = race(50, 18, lambda lap: 1.12 if lap == 1 else 1.04 - 0.0008 * lap + 0.03 * (lap == 9))
    assert detect(laps).phases == []


def test_rain_that_stays_is_none() -> None:
    assert (
        detect(
            race(60, 18, lambda lap: 1.0 if lap < 20 else min(1.22, 1 + 0.03 * (lap - 19)))
        ).phases
        == []
    )


def test_stops_of_everybody_are_left_out() -> None:
    stops = {driver: 20 + driver % 3 for driver in range(1, 19)}
    assert detect(race(50, 18, lambda _: 1.0, stops=stops)).phases == []


def test_a_leader_alone_may_stop_and_is_found_behind_the_safety_car() -> None:
    def slowdown(lap: int) -> float:
        return 1.5 if 30 <= lap <= 33 else 1.0

    laps = race(50, 1, slowdown, stops={1: 15}, pits_known=False)
    (phase,) = detect(laps).phases
    assert (phase.first_lap, phase.last_lap) == (30, 33)
    assert phase.confidence <= 0.5


def test_qualifying_is_no_race() -> None:
    laps = race(12, 10, lambda lap: 1.0 if lap % 3 == 2 else 1.6)
    apart = pl.col("driver_number") * 200_000
    moved = laps.with_columns(pl.col("lap_start_ms") + apart, pl.col("lap_end_ms") + apart)
    detected = detect(moved)
    assert (detected.reason, detected.phases, detected.laps.height) == ("no_race", [], 0)


def test_nothing_is_said_of_no_laps() -> None:
    assert detect(race(0, 0, lambda _: 1.0)).reason == "no_laps"
