"""The rules of the Formula 1 tables as data: what is wrong with a row, and where the limit is from.

A rule looks at columns only. What it needs beside those of its table (the lap before, the median of
the field) is prepared by validate.py, under names that begin with an underscore.

Belongs here: rules and thresholds. Does not belong here: their evaluation (validate.py), ranges of
single columns (model.py, compiled by `constraint_rules`).
"""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import cache
from typing import Final

import polars as pl
from pydantic import BaseModel

from ngsim_assets.f1.circuits import CIRCUITS, Circuit
from ngsim_assets.f1.model import Lap, RaceControlMessage, SessionStatus, TrackStatus, Weather
from ngsim_assets.quality.constraints import constraint_rules
from ngsim_assets.quality.rules import Rule

KMH: Final = 1 / 3.6
MEASURED = "measured on 29 real sessions, 2018 to 2025"
SLACK: Final = timedelta(seconds=60)

LAP_SHORTEST_MS, LAP_LONGEST_MS = 30_000, 150_000
SECTOR_SUM_MS: Final = 100
ROBUST_Z: Final = 5.0
TRAP_WARN, TRAP_REJECT = 370 * KMH, 400 * KMH
PRESSURE_WARN, PRESSURE_REJECT = 35.0, 100.0
WEATHER_GAP: Final = timedelta(seconds=150)
JUMP: Final = 8.0
COMPOUNDS: Final = (
    "SOFT",
    "MEDIUM",
    "HARD",
    "INTERMEDIATE",
    "WET",
    "HYPERSOFT",
    "ULTRASOFT",
    "SUPERSOFT",
    "SUPERHARD",
)
TRAPS: Final = ("speed_i1", "speed_i2", "speed_fl", "speed_st")

RACING: Final = "_racing"
"""Prepared: whether a lap was driven at racing speed: green throughout and so was the one before,
neither out of the pits nor into them, and not the first of a race."""
ROBUST: Final = "_robust_z"
"""Prepared: how far a racing lap of a race is from the driver's median, in robust standard
deviations of the field; null on all others."""


@cache
def ranges(model: type[BaseModel]) -> tuple[Rule, ...]:
    """What the annotations of a table's model say, compiled once: micro-batches come often."""
    return tuple(constraint_rules(model))


def lap_rules(now: datetime) -> list[Rule]:
    """Rules of f1_laps, for rows with the columns `validate.prepared_laps` adds."""
    total = pl.sum_horizontal("sector1_ms", "sector2_ms", "sector3_ms", ignore_nulls=False)
    fastest = pl.max_horizontal(*TRAPS)
    return [
        *ranges(Lap),
        Rule(
            "lap_twice",
            "reject",
            pl.col("_again"),
            "the same lap of the same driver came before",
            "identity of the table",
        ),
        Rule(
            "sectors_do_not_sum",
            "reject",
            (total - pl.col("lap_time_ms")).abs() > SECTOR_SUM_MS,
            f"the three sectors differ from the lap time by more than {SECTOR_SUM_MS} ms",
            f"{MEASURED}: 1 of 4,487 laps; laps put together wrongly fail it",
        ),
        Rule(
            "lap_ends_before_it_starts",
            "reject",
            pl.col("lap_end_ms") <= pl.col("lap_start_ms"),
            "the end of the lap is not after its start",
            "physics",
        ),
        Rule(
            "lap_in_the_future",
            "reject",
            pl.col("timestamp") > now + SLACK,
            "the lap ends after it was judged",
            "physics, one minute of slack for clocks",
        ),
        Rule(
            "trap_speed_impossible",
            "reject",
            fastest > TRAP_REJECT,
            "a speed trap shows more than 400 km/h",
            f"{MEASURED}: up to 359 km/h",
        ),
        Rule(
            "trap_speed_high",
            "flag",
            fastest > TRAP_WARN,
            "a speed trap shows more than 370 km/h",
            f"{MEASURED}: up to 359 km/h",
        ),
        Rule(
            "racing_lap_out_of_range",
            "flag",
            pl.col(RACING)
            & pl.col("lap_time_ms").is_between(LAP_SHORTEST_MS, LAP_LONGEST_MS).not_(),
            "a lap at racing speed takes less than 30 or more than 150 s",
            f"{MEASURED}: 34 of 3,441 such laps, but 272 of 4,511 of all",
        ),
        Rule(
            "racing_lap_outlier",
            "flag",
            pl.col(ROBUST).abs() > ROBUST_Z,
            f"a racing lap of a race is more than {ROBUST_Z:g} robust standard deviations off the "
            "driver's median",
            "median and MAD of racing laps only: a plain z-score flags the safety car",
        ),
        Rule(
            "racing_lap_untimed",
            "flag",
            pl.col(RACING) & pl.col("lap_time_ms").is_null(),
            "a lap at racing speed has no lap time",
            "completeness",
        ),
        Rule(
            "lap_before_is_missing",
            "flag",
            pl.col("lap_number") > pl.col("_lap_before") + 1,
            "laps of the driver are missing before it",
            "laps are numbered without gaps",
        ),
        Rule(
            "lap_starts_before_last_ended",
            "flag",
            pl.col("lap_start_ms") < pl.col("_end_before") - 1_000,
            "it starts more than a second before the driver's lap before ended",
            "physics, a second for latency",
        ),
        Rule(
            "compound_unknown",
            "flag",
            pl.col("compound").is_null() | pl.col("compound").is_in(COMPOUNDS).not_(),
            "no tyre compound, or none of those raced on",
            "compounds of 2018 to 2026",
        ),
    ]


def weather_rules(now: datetime, circuit: Circuit | None) -> list[Rule]:
    """Rules of f1_weather, for rows with the columns `validate.prepared_weather` adds."""
    normal = circuit.pressure if circuit else None
    off = (pl.col("pressure") - normal).abs() if normal else pl.lit(None, pl.Float64)
    observed = pl.col("kind") == "observation"
    latest = now + SLACK
    return [
        *ranges(Weather),
        Rule(
            "weather_twice",
            "reject",
            pl.col("_again"),
            "the same source said the same of the same time before",
            "identity of the table",
        ),
        Rule(
            "weather_in_the_future",
            "reject",
            (pl.col("issue_time") > latest) | (observed & (pl.col("valid_time") > latest)),
            "it was said, or observed, after it was judged",
            "physics, one minute of slack for clocks",
        ),
        Rule(
            "pressure_impossible_there",
            "reject",
            off > PRESSURE_REJECT,
            f"more than {PRESSURE_REJECT:g} hPa off the standard atmosphere at that altitude",
            "ISO 2533; the deepest and highest pressures ever measured are within",
        ),
        Rule(
            "pressure_unusual_there",
            "flag",
            off > PRESSURE_WARN,
            f"more than {PRESSURE_WARN:g} hPa off the standard atmosphere at that altitude",
            f"ISO 2533; {MEASURED}: 783 hPa in Mexico City, where one floor for all would fail",
        ),
        Rule(
            "track_cooler_than_air",
            "flag",
            observed & (pl.col("track_temperature") < pl.col("air_temperature")),
            "the track is cooler than the air",
            f"{MEASURED}: true of 191 of 5,490 rows, at night and in rain",
        ),
        Rule(
            "temperature_jump",
            "flag",
            (pl.col("_track_off").abs() > JUMP) | (pl.col("_air_off").abs() > JUMP),
            f"a temperature is more than {JUMP:g} °C off the median of the minutes around it",
            f"{MEASURED}: one sensor fault of -16.5 °C",
        ),
        Rule(
            "weather_gap",
            "flag",
            pl.col("_since") > WEATHER_GAP,
            f"more than {WEATHER_GAP.seconds} s after the observation before",
            "observations come once a minute",
        ),
        Rule(
            "observation_incomplete",
            "flag",
            observed
            & pl.any_horizontal(
                pl.col("air_temperature", "track_temperature", "humidity", "pressure").is_null()
            ),
            "a value that the circuit's station measures is missing",
            "completeness",
        ),
        Rule(
            "forecast_of_the_past",
            "flag",
            (pl.col("kind") == "forecast")
            & (pl.col("valid_time") < pl.col("issue_time") - timedelta(hours=1)),
            "a forecast of a time more than an hour before it was issued",
            "services issue the running hour too",
        ),
    ]


def track_status_rules(now: datetime) -> list[Rule]:
    """Rules of f1_track_status, for rows with the columns `validate.prepared_status` adds."""
    return [
        *ranges(TrackStatus),
        Rule(
            "status_without_time",
            "reject",
            pl.col("session_time_ms").is_null() & pl.col("timestamp").is_null(),
            "neither the session time nor UTC is known",
            "identity of the table",
        ),
        Rule(
            "status_twice",
            "reject",
            pl.col("_again"),
            "the same code came at the same time before",
            "identity of the table",
        ),
        Rule(
            "status_in_the_future",
            "reject",
            pl.col("timestamp") > now + SLACK,
            "it came after it was judged",
            "physics, one minute of slack for clocks",
        ),
        Rule(
            "status_unchanged",
            "flag",
            pl.col("code") == pl.col("_code_before"),
            "the code is the one that was in force already",
            "the topic tells changes",
        ),
    ]


def race_control_rules(now: datetime) -> list[Rule]:
    """Rules of f1_race_control, for rows with the columns `validate.prepared_messages` adds."""
    return [
        *ranges(RaceControlMessage),
        Rule(
            "message_twice",
            "reject",
            pl.col("_again"),
            "the same number came before in its session",
            "identity of the table",
        ),
        Rule(
            "message_in_the_future",
            "reject",
            pl.col("timestamp") > now + SLACK,
            "it came after it was judged",
            "physics, one minute of slack for clocks",
        ),
    ]


def rules_by_table(now: datetime) -> dict[str, list[Rule]]:
    """The rules of every table judged here, by its name, for their documentation.

    Those of pressure are compiled for one circuit; their wording holds for all.
    """
    return {
        "f1_laps": lap_rules(now),
        "f1_weather": weather_rules(now, CIRCUITS["monza"]),
        "f1_track_status": track_status_rules(now),
        "f1_race_control": race_control_rules(now),
        "f1_session_status": [*ranges(SessionStatus)],
    }
