"""Whether an installation works: what is stored of a simulated race against what is true of it.

A simulator knows what it told. So of a race that went the whole way (taken in, folded, judged,
stored, measured) every lap, phase, observation and row of telemetry can be held against the truth,
to the millisecond. Each finding can fail, and says how many rows differ.

Belongs here: the race, and the comparisons. Does not belong here: sending it through (commands),
how findings are shown.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import polars as pl

from ngsim_assets.f1.assessment.model import F1_QUALITY_METRICS
from ngsim_assets.f1.model import F1_LAPS, F1_MESSAGES, F1_QUARANTINE, F1_WEATHER
from ngsim_assets.f1.neutralisations.model import F1_NEUTRALISATIONS
from ngsim_assets.f1.overview import report_fault
from ngsim_assets.f1.platform import F1Platform, identity
from ngsim_assets.f1.simulate import Scenario, SimulatedSession, simulate_to
from ngsim_assets.f1.simulation.scenario import LEAD_IN
from ngsim_assets.f1.telemetry.model import F1_POSITIONS, F1_TELEMETRY
from ngsim_assets.storage.schema import Table

SCENARIO: Final = Scenario(
    "monaco", laps=16, cars=6, start=datetime(2026, 5, 24, 13, 0, tzinfo=UTC), seed=32
)
"""A short race with a safety car and a virtual one."""

TELEMETRY: Final = (LEAD_IN, LEAD_IN + 20_000)
"""Milliseconds of the feed in which cars tell their data."""

_LAP = ("driver_number", "lap_number")
_TIMES = ("lap_time_ms", "sector1_ms", "sector2_ms", "sector3_ms", "lap_start_ms", "lap_end_ms")
_OF_LAPS = ("stint", "pit_in_ms", "pit_out_ms", "compound", "tyre_life", "position")
_WEATHER = (
    "air_temperature",
    "track_temperature",
    "humidity",
    "pressure",
    "wind_speed",
    "rainfall",
)
_CAR = ("rpm", "gear", "throttle", "brake", "drs")
_SECOND = 1_000


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was held against the truth.

    Attributes:
        expected, found: in words, for people. held: whether they agree.
    """

    what: str
    expected: str
    found: str
    held: bool

    def row(self) -> dict[str, object]:
        """For people and machines: a line."""
        return {
            "what": self.what,
            "expected": self.expected,
            "found": self.found,
            "held": self.held,
        }


def write_race(folder: Path) -> SimulatedSession:
    """The race of the test as files of the archive, below `folder`."""
    return simulate_to(folder, SCENARIO, telemetry=TELEMETRY)


def held_against(platform: F1Platform, race: SimulatedSession, where: str = "") -> list[Finding]:
    """Everything that is stored of a simulated session against its truth.

    Args:
        where: told before each finding, `live` of a session that was received live.
    """
    prefix = f"{where}: " if where else ""
    findings = [
        *_messages(platform, race),
        *_laps(platform, race),
        *_phases(platform, race),
        *_weather(platform, race),
        *_telemetry(platform, race),
        _set_aside(platform, race),
    ]
    return [Finding(f"{prefix}{one.what}", one.expected, one.found, one.held) for one in findings]


def report_held(platform: F1Platform, race: SimulatedSession) -> Finding:
    """Whether there is a report of the stored metrics, with a score."""
    key = race.scenario.session
    metrics = rows_of(platform, race, F1_QUALITY_METRICS)
    score = metrics.filter(pl.col("metric") == "quality_score")["value"].to_list()
    fault = report_fault(platform, key)
    told = fault or (f"{metrics.height} metrics, score {score[0]}" if score else "no score")
    held = bool(score) and score[0] is not None and not fault
    return Finding("report", "metrics with a score", told, held)


def rows_of(platform: F1Platform, race: SimulatedSession, table: Table) -> pl.DataFrame:
    """What a table holds of the race."""
    return platform.lake.scan(table, identity(race.scenario.session)).collect()


def _messages(platform: F1Platform, race: SimulatedSession) -> Iterator[Finding]:
    """Every message told is stored, and what became of each is known."""
    commit = platform.lake.current(F1_MESSAGES, identity(race.scenario.session))
    stored = commit.rows if commit is not None else 0
    yield _equal("messages", len(race.messages), stored)
    counts: Mapping[str, int] = commit.provenance.rows if commit is not None else {}
    accounted = sum(counts.get(name, 0) for name in ("folded", "passed_on", "unfoldable"))
    yield _equal("messages accounted for", len(race.messages), accounted)


def _laps(platform: F1Platform, race: SimulatedSession) -> Iterator[Finding]:
    stored, truth = rows_of(platform, race, F1_LAPS), race.laps
    yield _equal("laps", truth.height, stored.height)
    yield _same("times of laps and sectors, ms", truth, stored, _LAP, _TIMES)
    yield _same("stints, stops, tyres, positions", truth, stored, _LAP, _OF_LAPS)


def _phases(platform: F1Platform, race: SimulatedSession) -> Iterator[Finding]:
    """Neutralisations by kind, and their times within a second."""
    stored = rows_of(platform, race, F1_NEUTRALISATIONS).sort("start_ms")
    found = list(stored.select("kind", "start_ms", "end_ms").iter_rows())
    truth = [(took.planned.kind, took.start, took.end) for took in race.neutralisations]
    kinds = [kind for kind, _, _ in truth]
    yield Finding(
        "neutralisations",
        _listed(kinds),
        _listed([kind for kind, _, _ in found]),
        bool(truth) and kinds == [kind for kind, _, _ in found],
    )
    # a phase that has no end yet is off by more than any other
    apart = [
        abs((told if told is not None else -_SECOND) - true)
        for (_, *times), (_, *trues) in zip(found, truth, strict=False)
        for told, true in zip(times, trues, strict=True)
    ]
    worst = max(apart, default=_SECOND + 1)
    yield Finding(
        "starts and ends of them",
        "within 1 s",
        f"off by {worst} ms at most" if apart else "none to compare",
        len(found) == len(truth) and worst <= _SECOND,
    )


def _weather(platform: F1Platform, race: SimulatedSession) -> Iterator[Finding]:
    stored = rows_of(platform, race, F1_WEATHER).filter(pl.col("kind") == "observation")
    told = sum(message.topic == "WeatherData" for message in race.messages)
    yield _equal("observations of the weather", told, stored.height)
    by_minute = stored.with_columns(pl.col("valid_time").dt.truncate("1m"))
    truth = race.weather.join(by_minute.select("valid_time"), on="valid_time", how="semi")
    yield _same("values of the weather", truth, by_minute, ("valid_time",), _WEATHER)


def _telemetry(platform: F1Platform, race: SimulatedSession) -> Iterator[Finding]:
    truth = race.telemetry
    if truth is None:
        return
    names = ("driver_number", "timestamp")
    cars = rows_of(platform, race, F1_TELEMETRY)
    yield _equal("rows of car data", truth.height, cars.height)
    yield _same("values of car data", truth, cars, names, _CAR)
    places = rows_of(platform, race, F1_POSITIONS)
    yield _equal("rows of positions", truth.height, places.height)
    metres = truth.select(*names, *(pl.col(f"{axis}_dm").alias(axis) for axis in "xyz"))
    told = places.with_columns((pl.col("x", "y", "z") * 10).round().cast(pl.Int32))
    yield _same("values of positions", metres, told, names, ("x", "y", "z"))


def _set_aside(platform: F1Platform, race: SimulatedSession) -> Finding:
    rows = rows_of(platform, race, F1_QUARANTINE)
    reasons = rows.explode("reasons")["reasons"].unique().sort().to_list()
    told = f"{rows.height}: {', '.join(reasons)}" if rows.height else "0"
    return Finding("lines and rows set aside", "0", told, rows.is_empty())


def _equal(what: str, expected: int, found: int) -> Finding:
    """A count; nothing at all never agrees."""
    return Finding(what, f"{expected:,}", f"{found:,}", expected == found and expected > 0)


def _same(
    what: str, truth: pl.DataFrame, stored: pl.DataFrame, on: Sequence[str], names: Sequence[str]
) -> Finding:
    """Whether every row of the truth is stored with the same values, nulls included."""
    kinds = pl.Schema({name: stored.schema[name] for name in (*on, *names)})
    wanted = truth.select(*on, *names).cast(kinds)
    both = wanted.join(stored.select(*on, *names), on=on, how="left", suffix="_stored")
    apart = [~pl.col(name).eq_missing(pl.col(f"{name}_stored")) for name in names]
    differing = both.filter(pl.any_horizontal(apart)).height
    found = "equal" if not differing else f"{differing:,} rows differ"
    return Finding(
        what, f"equal in {truth.height:,} rows", found, differing == 0 and truth.height > 0
    )


def _listed(kinds: Sequence[str]) -> str:
    return ", ".join(kinds) or "none"
