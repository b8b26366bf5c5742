"""Recordings whose truth is known: simulated traffic, delivered the way NGSIM delivers.

Belongs here: what to simulate, and the two tables that come out: the truth in SI units and the
recording as raw rows. Does not belong here: motion (car_following.py), population
(traffic_demand.py), measurement errors (error_model.py), faults (faults.py), printing
(write_source.py).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl

from ngsim_assets.errors import NgsimAssetsError
from ngsim_assets.highway.simulation.error_model import NOISE, Noise, observe
from ngsim_assets.highway.simulation.fault_kinds import FAULTS
from ngsim_assets.highway.simulation.faults import inject_faults
from ngsim_assets.highway.simulation.simulated_tables import (
    Traffic,
    drive,
    recording_of,
    truth_of,
)
from ngsim_assets.highway.simulation.traffic_demand import LEVELS, ROADS
from ngsim_assets.highway.simulation.write_source import (
    LayoutName,
    Written,
    write_rows,
    write_source,
)
from ngsim_assets.highway.sites import SITES, Site


class CannotSimulate(NgsimAssetsError):
    """A scenario asks for something the simulator does not know.

    Attributes: option, value: what was asked for; known: what there is.
    """

    exit_code = 2

    def __init__(self, option: str, value: object, known: str) -> None:
        self.option = option
        self.value = value
        self.known = known
        super().__init__(f"cannot simulate {option} {value!r}", f"known: {known}")


@dataclass(frozen=True, slots=True)
class Scenario:
    """What to simulate. Equal scenarios give equal recordings on every machine.

    Attributes:
        highway_id: us-101 or i-80; arterials (signals, turning bays) cannot be simulated.
        start: local start; None: the site's first official recording. Official starts get their
            published frame origin, so that the partition key is the official one.
        minutes: length of the recording, over 0.
        congestion: free, moderate or congested.
        noise: a level of `error_model.NOISE`, or a `Noise`.
        seed: of everything that is drawn.

    Raises CannotSimulate for a value it does not know.
    """

    highway_id: str = "us-101"
    start: datetime | None = None
    minutes: float = 15.0
    congestion: str = "moderate"
    noise: str | Noise = "ngsim"
    seed: int = 1

    def __post_init__(self) -> None:
        if self.highway_id not in ROADS:
            known = ", ".join(ROADS)
            raise CannotSimulate("highway", self.highway_id, f"freeways only: {known}")
        levels = LEVELS[self.highway_id]
        if self.congestion not in levels:
            raise CannotSimulate("congestion", self.congestion, ", ".join(levels))
        if isinstance(self.noise, str) and self.noise not in NOISE:
            raise CannotSimulate("noise", self.noise, ", ".join(NOISE))
        if not 0.0 < self.minutes <= 24 * 60:
            raise CannotSimulate("minutes", self.minutes, "more than 0, at most a day")
        if self.seed < 0:
            raise CannotSimulate("seed", self.seed, "0 and above")

    @property
    def site(self) -> Site:
        """The site's facts."""
        return SITES[self.highway_id]

    @property
    def local_start(self) -> datetime:
        """Local start without zone; `start`, or the site's first official one."""
        return (self.start or self.site.recordings[0].start).replace(tzinfo=None)

    @property
    def recording(self) -> str:
        """Key of the recording, `2005-06-15T0750`."""
        return self.local_start.strftime("%Y-%m-%dT%H%M")

    @property
    def frame_origin(self) -> int:
        """t0 (ms since the epoch): the official one, else the start itself is frame 0."""
        for official in self.site.recordings:
            if official.start == self.local_start:
                return sum(official.t0) // 2
        zoned = self.local_start.replace(tzinfo=self.site.time_zone)
        return round(zoned.timestamp() * 1000)


@dataclass(frozen=True, slots=True)
class Simulation:
    """What came out; both tables have the same rows in the same order: vehicle, then frame.

    Attributes:
        scenario: what was asked for.
        truth: vehicle_id, frame_id (Int32), x_position, y_position (m), speed (m/s), acceleration
            (m/s²), lane_id, preceding_id, following_id (Int32, null none), space_headway (m),
            time_headway (s, null none or standing), length, width (m), v_class. Exact to
            rounding: speed' = speed + 0.1 acceleration, y' = y + 0.05 (speed + speed').
        recording: the 25 delivered columns as unscaled integers (formats.RAW_PHYSICAL).
    """

    scenario: Scenario
    truth: pl.DataFrame
    recording: pl.DataFrame


def traffic_of(scenario: Scenario) -> Traffic:
    """The vehicles of a scenario on their road, whatever the cameras make of them."""
    frames = max(1, round(scenario.minutes * 600))
    return drive(scenario.highway_id, scenario.congestion, frames, scenario.seed)


def simulate(scenario: Scenario | None = None, traffic: Traffic | None = None) -> Simulation:
    """Simulate one recording: its exact truth, and its rows as NGSIM would have delivered them.

    `traffic` spares driving it again: `traffic_of` a scenario that differs in its noise only.
    """
    scenario = scenario or Scenario()
    site = scenario.site
    traffic = traffic or traffic_of(scenario)
    level = NOISE[scenario.noise] if isinstance(scenario.noise, str) else scenario.noise
    observed = observe(
        traffic.starts,
        traffic.x,
        traffic.y,
        level,
        length=site.length,
        clipped_acceleration=site.limits.clipped_acceleration,
        # apart from the traffic's stream, so that the same traffic can be seen by all cameras
        rng=np.random.default_rng([scenario.seed, 1]),
    )
    recording = recording_of(traffic, observed, site, scenario.frame_origin)
    return Simulation(scenario, truth_of(traffic), recording)


def simulate_to(
    path: Path,
    scenario: Scenario | None = None,
    *,
    layout: LayoutName = "text",
    faults: float = 0.0,
) -> Written:
    """Simulate one recording into a file, its truth and fault labels beside it.

    `faults` is the share of rows made faulty, with every kind of faults.FAULTS, cells that cannot
    be read among them; the export is shuffled, and has no late lines.
    Writes `<name>.truth.parquet` and, with faults, `<name>.labels.parquet`.
    """
    simulation = simulate(scenario)
    seed = simulation.scenario.seed
    recording, labels = simulation.recording, None
    if faults:
        # lines of a shuffled file are in no order that one of them could break
        kinds = tuple(kind for kind in FAULTS if layout != "export" or kind != "late_line")
        recording, labels = inject_faults(recording, faults, seed, kinds=kinds)
    return write_source(
        recording,
        path,
        layout,
        shuffle=seed if layout == "export" else None,
        truth=simulation.truth,
        labels=labels,
    )


_EXPORT_BLOCK = 400_000  # rows shuffled at a time
_ROWS_PER_MINUTE = 60_000  # fewer than any freeway recording of moderate traffic has


def simulate_export(path: Path, *, rows: int, seed: int = 1, recordings: int = 11) -> Written:
    """Write a unified export of `rows` rows of several recordings in no order, for benchmarks.

    One recording of us-101 and one of i-80 are simulated; the others are copies of them with
    another frame origin, each vehicle moved aside by up to 0.03 ft, so that no two recordings
    have equal content. Rows come in shuffled blocks that hold a random part of every recording:
    memory stays at the two simulated recordings however many rows are written. The recordings
    are of one size, give or take a row; the last vehicles of each may be incomplete.
    """
    if not 1 <= recordings <= rows:
        raise CannotSimulate("recordings", recordings, "from 1 to one per row")
    return write_rows(_export_blocks(rows, seed, recordings), path, "export")


def _export_scenarios(seed: int, recordings: int, minutes: float) -> list[Scenario]:
    """Official recordings of the freeways by turns, then others later on the same days."""
    scenarios: list[Scenario] = []
    for turn in range(recordings):
        site = SITES[list(ROADS)[turn % len(ROADS)]]
        place = turn // len(ROADS)
        official = [recording.start for recording in site.recordings]
        if place < len(official):
            start = official[place]
        else:
            start = official[-1] + timedelta(minutes=60 + 20 * (place - len(official)))
        scenarios.append(Scenario(site.highway_id, start, minutes, seed=seed))
    return scenarios


def _export_blocks(rows: int, seed: int, recordings: int) -> Iterator[pl.DataFrame]:
    rng = np.random.default_rng([seed, 2])
    shares = [rows // recordings + (k < rows % recordings) for k in range(recordings)]
    minutes = max(1.0, shares[0] / _ROWS_PER_MINUTE)
    scenarios = _export_scenarios(seed, recordings, minutes)
    originals: dict[str, pl.DataFrame] = {}
    for scenario in scenarios:
        if scenario.highway_id not in originals:
            originals[scenario.highway_id] = simulate(scenario).recording.head(shares[0])
    orders = [rng.permutation(share).astype(np.int32) for share in shares]
    blocks = -(-rows // _EXPORT_BLOCK)
    for block in range(blocks):
        parts: list[pl.DataFrame] = []
        for turn, (scenario, order) in enumerate(zip(scenarios, orders, strict=True)):
            first, end = (len(order) * k // blocks for k in (block, block + 1))
            part = originals[scenario.highway_id][order[first:end]]
            parts.append(_copy(part, scenario, turn))
        shuffled = pl.concat(parts)
        yield shuffled[rng.permutation(shuffled.height)]


def _copy(rows: pl.DataFrame, scenario: Scenario, turn: int) -> pl.DataFrame:
    """The rows as if recorded in `scenario`, their vehicles a little aside."""
    frame_ms = scenario.site.clock.frame_ms
    aside = (pl.col("vehicle_id") * 7919 + turn * 104_729) % 61 - 30
    return rows.with_columns(
        (scenario.frame_origin + frame_ms * pl.col("frame_id").cast(pl.Int64)).alias("global_time"),
        (pl.col("local_x") + aside).cast(pl.Int32).alias("local_x"),
    )
