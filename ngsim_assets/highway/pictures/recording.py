"""What pictures are drawn from: one recording, before and after, read once where it is cheap.

Belongs here: the columns pictures read, the time and place they show, and the traffic state of
that window. Does not belong here: how anything looks (quality/drawing.py), kernels (raster.py).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Literal, cast

import numpy as np
import polars as pl

from ngsim_assets.highway.assessment.track_measures import FRAME, Tracks
from ngsim_assets.highway.flow.waves import WAVE_GRID, WaveSpeed, wave_speed
from ngsim_assets.highway.sites import Site
from ngsim_assets.highway.traffic import traffic_state

Stage = Literal["validated", "cleaned"]

# As narrow as a pixel is coarse.
_SINGLE = pl.Float32()
_COLUMNS = {
    "x": pl.col("x_position").cast(_SINGLE),
    "y": pl.col("y_position").cast(_SINGLE),
    "speed": pl.col("speed").cast(_SINGLE),
    "acceleration": pl.col("acceleration").cast(_SINGLE),
    "space_headway": pl.col("space_headway").cast(_SINGLE),
    "time_headway": pl.col("time_headway").cast(_SINGLE),
    "lane": pl.col("lane_id").cast(pl.Int32()),
    "direction": pl.col("direction").cast(pl.Int32()),
}
_STATE = pl.col("state").cast(pl.String)
_OBSERVED = pl.when(_STATE == "observed")
_CHANGED = {
    "imputed": _STATE == "imputed",
    "repaired": _STATE == "repaired",
    "residual_along": _OBSERVED.then(pl.col("y_position") - pl.col("y_raw")).cast(_SINGLE),
    "residual_across": _OBSERVED.then(pl.col("x_position") - pl.col("x_raw")).cast(_SINGLE),
}

DIRECTIONS = {1: "eastbound", 2: "northbound", 3: "westbound", 4: "southbound"}
ALONG = (2, 4)
"""Directions of an arterial that run along y."""

CELL_SECONDS, CELL_METRES = 9.0, 20.0
"""Cells of the maps: finer than the table's, so that a wave of 4 m/s is a line."""


@dataclass(frozen=True)
class TimeAxis:
    """The frames that all pictures of a recording show, and how they count time.

    Attributes:
        first, last: frames. unit: min, or s for a short recording. per_frame: of that unit.
        start: local time of the first frame, None where no time is known.
    """

    first: float
    last: float
    unit: Literal["min", "s"]
    start: datetime | None

    @property
    def per_frame(self) -> float:
        return FRAME / 60 if self.unit == "min" else FRAME

    @property
    def per_second(self) -> float:
        return self.per_frame / FRAME

    @property
    def end(self) -> float:
        """The last frame, in units since the first."""
        return (self.last - self.first) * self.per_frame

    @property
    def label(self) -> str:
        since = f"{self.start:%H:%M:%S} local time" if self.start else "the first frame"
        return f"time since {since}, {self.unit}"


class Recording:
    """One recording in the columns of `validated_points` and `cleaned_trajectories`.

    Both are collected several times, a few columns at once, so both are scans or frames.
    """

    def __init__(self, validated: pl.LazyFrame, cleaned: pl.LazyFrame, site: Site) -> None:
        self.validated = validated
        self.cleaned = cleaned
        self.site = site

    def tracks(self, stage: Stage) -> Tracks:
        """Trajectories of a stage."""
        return self._before if stage == "validated" else self._after

    def points(self, stage: Stage) -> pl.LazyFrame:
        """Rows of a stage."""
        return self.validated if stage == "validated" else self.cleaned

    def between(self, begin: float, end: float) -> Recording:
        """The same recording from `begin` to `end`, minutes since the first frame shown."""
        first, per_minute = self.time.first, 60.0 / FRAME
        shown = pl.col("frame").is_between(
            math.ceil(first + begin * per_minute), math.floor(first + end * per_minute)
        )
        return Recording(self.validated.filter(shown), self.cleaned.filter(shown), self.site)

    @cached_property
    def _before(self) -> Tracks:
        return Tracks.of(self.validated, _COLUMNS)

    @cached_property
    def _after(self) -> Tracks:
        return Tracks.of(self.cleaned, _COLUMNS | _CHANGED)

    def vehicle(self, stage: Stage, vehicle_id: int) -> Tracks:
        """The trajectory of one vehicle; none if it is not there."""
        columns = _COLUMNS if stage == "validated" else _COLUMNS | _CHANGED
        return Tracks.of(self.points(stage).filter(pl.col("vehicle_id") == vehicle_id), columns)

    @cached_property
    def time(self) -> TimeAxis:
        """A stray frame far off does not squeeze the rest."""
        stage: Stage = "cleaned" if len(self._after) else "validated"
        frame = self.tracks(stage).frame
        if not len(frame):
            return TimeAxis(0.0, 1.0, "s", None)
        first, last = float(frame.min()), float(frame.max())
        early, late = np.quantile(frame, (0.001, 0.999))
        if last - first > 3 * (late - early) > 0:
            first, last = float(early), float(late)
        last = max(last, first + 1)
        unit = "min" if (last - first) * FRAME >= 180 else "s"
        return TimeAxis(first, last, unit, self._clock(stage, first))

    def _clock(self, stage: Stage, frame: float) -> datetime | None:
        """Local time of a frame."""
        row = (
            self.points(stage)
            .select(pl.col("timestamp", "frame").drop_nulls().first())
            .collect(engine="streaming")
        )
        if row.is_empty() or row.item(0, "timestamp") is None:
            return None
        moment = cast("datetime", row.item(0, "timestamp"))
        moment += timedelta(seconds=(frame - row.item(0, "frame")) * FRAME)
        return moment.astimezone(self.site.time_zone)

    @cached_property
    def place(self) -> tuple[float, float]:
        """Lowest and highest y, m, that pictures show: where vehicles were, on the site."""
        [y] = self.tracks("cleaned" if len(self._after) else "validated").read("y")
        site = self.site.y
        y = y[(y >= site.low) & (y <= site.high)]
        if not len(y) or y.max() <= y.min():
            return site.low, site.high
        return float(y.min()), float(y.max())

    @cached_property
    def traffic(self) -> pl.DataFrame:
        """Edie's cells of the cleaned points, `TrafficState` columns, on the grid of waves.

        Points outside the time and place that pictures show are left out.
        """
        axis, site = self.time, self.site
        shown = self.cleaned.filter(
            pl.col("frame").is_between(int(axis.first), math.ceil(axis.last)),
            pl.col("y_position").is_between(site.y.low, site.y.high),
        )
        return traffic_state(shown, **WAVE_GRID).collect()

    @cached_property
    def waves(self) -> WaveSpeed:
        """Speed of the waves in `traffic`."""
        return wave_speed(self.traffic)
