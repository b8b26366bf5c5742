"""The metrics of one stage: measures of its trajectories and pairs, pooled.

Belongs here: which columns a stage's metrics read, in which order, and what two stages share. Does
not belong here: figures (row_figures.py, motion_figures.py, traffic_figures.py), meanings and
limits (catalogue.py), comparison of stages (changes.py), verdicts (assess.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import get_args

import numpy as np
import numpy.typing as npt
import polars as pl

from ngsim_assets.highway.assessment import (
    metrics,
    motion_figures,
    row_figures,
    track_measures,
    traffic_figures,
)
from ngsim_assets.highway.assessment.cells import Cells, Grid, edie_cells
from ngsim_assets.highway.assessment.pooling import Figures
from ngsim_assets.highway.assessment.track_measures import Floats, Tracks
from ngsim_assets.highway.model import VehicleType
from ngsim_assets.highway.sites import Site

_CLASSES: tuple[str, ...] = get_args(get_args(VehicleType)[0])


@dataclass(frozen=True)
class Area:
    """The time and space that both stages are held against."""

    first_frame: int
    frames: int

    def grid(self, site: Site, cell_frames: int, cell_length: float) -> Grid:
        """Its cells, of so many frames and m."""
        return Grid(
            first_frame=self.first_frame,
            frames=self.frames,
            cell_frames=cell_frames,
            y_low=site.y.low,
            y_high=site.y.high,
            cell_length=cell_length,
            longest_step=metrics.LONGEST_STEP,
        )


@dataclass(frozen=True)
class Stage:
    """What is known of one stage.

    Attributes:
        figures: every metric it has, by name.
        cells: Edie's sums.
        spans: vehicle_id, first and last frame, net displacement of each trajectory.
    """

    figures: Figures
    cells: Cells
    spans: pl.DataFrame


def _columns(stage: str) -> dict[str, pl.Expr]:
    """What a stage's metrics read, as narrow as its resolution allows."""
    single, number = pl.Float32(), pl.Int32()
    vehicle_type = pl.col("vehicle_type").cast(pl.String)
    columns = {
        "x": pl.col("x_position").cast(single),
        "y": pl.col("y_position"),
        "speed": pl.col("speed").cast(single),
        "velocity": pl.col("velocity_y").cast(single),
        "acceleration": pl.col("acceleration").cast(single),
        "lane": pl.col("lane_id").cast(number),
        "length": pl.col("length").cast(single),
        "width": pl.col("width").cast(single),
        "class": vehicle_type.cast(pl.Enum(_CLASSES), strict=False).to_physical().cast(number),
        "preceding": pl.col("preceding_id").cast(number),
        "following": pl.col("following_id").cast(number),
        "headway": pl.col("space_headway").cast(single),
        "time_headway": pl.col("time_headway").cast(single),
    }
    if stage == metrics.VALIDATED:
        return columns | {"total_frames": pl.col("total_frames").cast(number)}
    state = pl.col("state").cast(pl.String)
    observed = pl.when(state == "observed")
    return columns | {
        "acceleration_along": pl.col("acceleration_y").cast(single),
        "residual_along": observed.then(pl.col("y_position") - pl.col("y_raw")).cast(single),
        "residual_across": observed.then(pl.col("x_position") - pl.col("x_raw")).cast(single),
        "repair": pl.when(state == "repaired")
        .then(pl.col("y_position") - pl.col("y_raw"))
        .cast(single),
        "lane_corrected": pl.col("lane_id") != pl.col("lane_raw"),
        "lane_known": pl.col("lane_raw").is_not_null(),
        "repaired": state == "repaired",
        "imputed": state == "imputed",
    }


_CHANGED = ("residual_along", "residual_across", "repair", "repaired", "imputed")
"""What only cleaned points have; read with the positions, which they are made from."""


def area_of(points: pl.LazyFrame) -> Area:
    """Time and space of one stage, before it is measured."""
    frame = pl.col("frame").cast(pl.Int32)
    bounds = points.select(frame.min().alias("first"), frame.max().alias("last")).collect()
    first, last = bounds.row(0)
    return Area(0, 0) if first is None else Area(first, last - first + 1)


def measure_stage(points: pl.LazyFrame, stage: str, site: Site, area: Area) -> Stage:
    """Every metric of one stage, on the area both stages are held against."""
    tracks = Tracks.of(points, _columns(stage))
    x, y, *changed = tracks.read("x", "y", *(_CHANGED if stage == metrics.CLEANED else ()))
    spans = track_measures.spans(tracks, x, y)
    del x
    net = spans["net"].to_numpy()
    clear = _heading(net, site)
    # Where even the net movement tells no direction, it is at least not counted backwards.
    forwards = np.where(clear == 0, np.sign(net), clear)
    # Kernels want the order of the rows, pooling the order of vehicle numbers.
    where = np.searchsorted(spans["vehicle_id"].to_numpy(), tracks.vehicle)
    heading, along = clear[where], _along(spans)[where]

    grid = area.grid(site, metrics.CELL_FRAMES, metrics.CELL_LENGTH)
    found = row_figures.completeness(tracks, spans, site, grid)
    found |= traffic_figures.whole_traffic(spans, forwards, site, area.frames)
    velocity, speed = tracks.read("velocity", "speed")
    if stage == metrics.VALIDATED:
        found |= row_figures.declared(tracks, spans, where)
        found |= motion_figures.delivered_motion(tracks, site, y, speed, heading, along)
    else:
        residual_along, residual_across, repair, repaired, imputed = changed
        found |= motion_figures.reconstructed_motion(tracks, y, speed, velocity, along)
        found |= motion_figures.residual(tracks, "along", residual_along)
        found |= motion_figures.residual(tracks, "across", residual_across)
        found |= motion_figures.repairs(tracks, repair)
        found |= row_figures.states(tracks, repaired, imputed)
        found |= row_figures.corrected_lanes(tracks)
        del residual_along, residual_across, repair, repaired, imputed
    del changed
    found |= motion_figures.reversing(tracks, velocity, heading)
    del velocity
    space_headway, length, lane = tracks.read("headway", "length", "lane")
    found |= traffic_figures.platoon(tracks, y, heading, along, lane, length, space_headway)
    found |= traffic_figures.headways(tracks, speed, space_headway)
    del speed, space_headway
    found |= row_figures.vehicles(tracks, length)
    del length
    found |= row_figures.lanes(tracks, lane, site)
    cells = edie_cells(tracks, forwards[where], y, lane, grid)
    found |= row_figures.coverage(cells, grid, site, lane)
    if not site.arterial:
        finer = area.grid(site, metrics.WAVE_FRAMES, metrics.WAVE_LENGTH)
        found |= traffic_figures.waves(edie_cells(tracks, forwards[where], y, lane, finer), finer)
    return Stage(found, cells, spans.select("vehicle_id", "first", "last", "net"))


def _heading(net: Floats, site: Site) -> Floats:
    """+1 down the section, -1 up it, 0 unknown."""
    unclear = 0.0 if site.arterial else 1.0
    return np.where(np.abs(net) >= metrics.HEADING_DISTANCE, np.sign(net), unclear)


def _along(spans: pl.DataFrame) -> npt.NDArray[np.bool_]:
    """Whether a trajectory keeps to the section's axis, so that y tells how far it went."""
    allowed = np.maximum(metrics.ACROSS, metrics.ACROSS_SHARE * spans["along"].to_numpy())
    return spans["across"].to_numpy() <= allowed
