"""The metrics of one stage: measures of its trajectories and pairs, pooled.

Belongs here: which columns a stage's metrics read and which measure feeds which metric. Does
not belong here: meanings and limits (catalogue.py), kernels (track_measures.py, platoon.py,
cells.py), comparison of stages and verdicts (assess.py).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from ngsim_assets.highway.assessment import metrics, track_measures
from ngsim_assets.highway.assessment.cells import Grid, edie_cells
from ngsim_assets.highway.assessment.platoon import pairs
from ngsim_assets.highway.assessment.track_measures import FRAME, Floats, Ints, Tracks
from ngsim_assets.highway.sites import Site

Figures = dict[str, float | None]


@dataclass(frozen=True)
class Area:
    """The time and space that both stages are held against."""

    first_frame: int
    frames: int


@dataclass(frozen=True)
class Cells:
    """Edie's sums per lane, time and space cell."""

    distance: Floats
    time: Floats


def _columns(stage: str) -> dict[str, pl.Expr]:
    """What a stage's metrics read, as narrow as its resolution allows."""
    single, number = pl.Float32(), pl.Int32()
    columns = {
        "x": pl.col("x_position").cast(single),
        "y": pl.col("y_position"),
        "speed": pl.col("speed").cast(single),
        "velocity": pl.col("velocity_y").cast(single),
        "acceleration": pl.col("acceleration").cast(single),
        "lane": pl.col("lane_id").cast(number),
        "length": pl.col("length").cast(single),
        "preceding": pl.col("preceding_id").cast(number),
        "following": pl.col("following_id").cast(number),
        "headway": pl.col("space_headway").cast(single),
    }
    if stage == metrics.VALIDATED:
        return columns | {"total_frames": pl.col("total_frames").cast(number)}
    state = pl.col("state").cast(pl.String)
    observed = pl.when(state == "observed")
    return columns | {
        "acceleration_along": pl.col("acceleration_y").cast(single),
        "residual_along": observed.then(pl.col("y_position") - pl.col("y_raw")).cast(single),
        "residual_across": observed.then(pl.col("x_position") - pl.col("x_raw")).cast(single),
        "repaired": state == "repaired",
        "imputed": state == "imputed",
    }


_CHANGED = ("residual_along", "residual_across", "repaired", "imputed")
"""What only cleaned points have; read with the positions, which they are made from."""


def area_of(points: pl.LazyFrame) -> Area:
    """Time and space of one stage, before it is measured."""
    frame = pl.col("frame").cast(pl.Int32)
    bounds = points.select(frame.min().alias("first"), frame.max().alias("last")).collect()
    first, last = bounds.row(0)
    return Area(0, 0) if first is None else Area(first, last - first + 1)


def measure_stage(
    points: pl.LazyFrame, stage: str, site: Site, area: Area
) -> tuple[Figures, Cells]:
    """Every metric of one stage by name, and its Edie cells on the area both are held against."""
    tracks = Tracks.of(points, _columns(stage))
    x, y, *changed = tracks.read("x", "y", *(_CHANGED if stage == metrics.CLEANED else ()))
    spans = track_measures.spans(tracks, x, y)
    del x
    # Kernels want the order of the rows, pooling the order of vehicle numbers.
    where = np.searchsorted(spans["vehicle_id"].to_numpy(), tracks.vehicle)
    heading = _heading(spans["net"].to_numpy(), site)[where]
    along = _along(spans)[where]
    [velocity] = tracks.read("velocity")

    found: Figures = _completeness(spans) | _traffic(spans, site, area)
    if stage == metrics.VALIDATED:
        found["completeness_declared"] = _declared(tracks, spans, where)
        found |= _delivered_motion(tracks, site, y, heading, along)
    else:
        found |= _reconstructed_motion(tracks, y, velocity, along)
        found |= _changed_points(tracks, *changed)
    del changed
    found |= _reversing(tracks, velocity, heading)
    del velocity
    found |= _platoon(tracks, y, heading, along)
    [lane] = tracks.read("lane")
    found |= _lanes(tracks, lane, site)
    distance, time = edie_cells(
        tracks,
        heading,
        y,
        lane,
        Grid(
            first_frame=area.first_frame,
            frames=area.frames,
            cell_frames=metrics.CELL_FRAMES,
            y_low=site.y.low,
            y_high=site.y.high,
            cell_length=metrics.CELL_LENGTH,
            longest_step=metrics.LONGEST_STEP,
        ),
    )
    return found, Cells(distance, time)


def _heading(net: Floats, site: Site) -> Floats:
    """+1 down the section, -1 up it, 0 unknown."""
    unclear = 0.0 if site.arterial else 1.0
    return np.where(np.abs(net) >= metrics.HEADING_DISTANCE, np.sign(net), unclear)


def _along(spans: pl.DataFrame) -> npt.NDArray[np.bool_]:
    """Whether a trajectory keeps to the section's axis, so that y tells how far it went."""
    allowed = np.maximum(metrics.ACROSS, metrics.ACROSS_SHARE * spans["along"].to_numpy())
    return spans["across"].to_numpy() <= allowed


def _completeness(spans: pl.DataFrame) -> Figures:
    seen, missing = _sum(spans, "seen"), _sum(spans, "missing")
    complete = float((spans["missing"].to_numpy() == 0).sum())
    longest = spans["longest_gap"].to_numpy().max(initial=0.0)
    return {
        "trajectories": float(spans.height),
        "points": seen,
        "completeness": percent(seen, seen + missing),
        "trajectories_complete": percent(complete, spans.height),
        "gaps": _sum(spans, "gaps"),
        "gap_longest": float(longest) * FRAME,
    }


def _declared(tracks: Tracks, spans: pl.DataFrame, where: npt.NDArray[np.intp]) -> float | None:
    if not len(tracks):
        return None
    [total_frames] = tracks.read("total_frames")
    declared = np.maximum.reduceat(total_frames, tracks.starts[:-1]).astype(np.float64)
    seen = spans["seen"].to_numpy()[where]
    known = declared > 0
    return percent(float(np.minimum(seen, declared)[known].sum()), float(declared[known].sum()))


def _delivered_motion(
    tracks: Tracks, site: Site, y: Floats, heading: Floats, along: npt.NDArray[np.bool_]
) -> Figures:
    """Speed and acceleration as delivered: magnitudes along the direction of travel."""
    speed, acceleration = tracks.read("speed", "acceleration")
    every = np.ones(len(tracks), dtype=np.bool_)
    found = (
        _speed(tracks, speed) | _acceleration(tracks, acceleration) | _jerk(tracks, acceleration)
    )
    found |= _strays(
        track_measures.consistency(tracks, y, speed, heading, along & (heading != 0)),
        "position_speed",
    )
    found |= _strays(
        track_measures.consistency(tracks, speed, acceleration, np.ones(len(tracks)), every),
        "speed_acceleration",
    )
    clip = site.limits.clipped_acceleration
    if clip is not None:
        clipped = track_measures.exceeding(acceleration, clip - metrics.CLIP_TOLERANCE)
        samples = len(acceleration) - int(np.isnan(acceleration).sum())
        found["acceleration_clipped"] = percent(clipped, samples)
    return found


def _reconstructed_motion(
    tracks: Tracks, y: Floats, velocity: Floats, along: npt.NDArray[np.bool_]
) -> Figures:
    """Speed and acceleration after cleaning; along the section they are signed."""
    speed, acceleration = tracks.read("speed", "acceleration")
    found = (
        _speed(tracks, speed) | _acceleration(tracks, acceleration) | _jerk(tracks, acceleration)
    )
    del speed, acceleration
    [along_section] = tracks.read("acceleration_along")
    forward, every = np.ones(len(tracks)), np.ones(len(tracks), dtype=np.bool_)
    return (
        found
        | _strays(track_measures.consistency(tracks, y, velocity, forward, along), "position_speed")
        | _strays(
            track_measures.consistency(tracks, velocity, along_section, forward, every),
            "speed_acceleration",
        )
    )


def _jerk(tracks: Tracks, acceleration: Floats) -> Figures:
    found = track_measures.jerks(
        tracks,
        acceleration,
        limit=metrics.JERK_LIMIT,
        minimum_points=metrics.MINIMUM_POINTS,
        quiet=metrics.JERK_QUIET,
        window=metrics.JERK_WINDOW,
    )
    samples = _sum(found, "samples")
    return {
        "jerk_over_15": percent(_sum(found, "over"), samples),
        "jerk_sign_inversions": percent(_sum(found, "inverted"), _sum(found, "windows")),
        "jerk_std": _deviation(samples, _sum(found, "total"), _sum(found, "squares")),
        "jerk_largest": _largest(found, "largest", samples),
    }


def _acceleration(tracks: Tracks, acceleration: Floats) -> Figures:
    found = track_measures.moments(tracks, acceleration)
    samples = _sum(found, "samples")
    hard = track_measures.exceeding(acceleration, metrics.HARD_ACCELERATION)
    return {
        "acceleration_over_3": percent(hard, samples),
        "acceleration_std": _deviation(samples, _sum(found, "total"), _sum(found, "squares")),
        "acceleration_largest": _largest(found, "largest_absolute", samples),
    }


def _speed(tracks: Tracks, speed: Floats) -> Figures:
    found = track_measures.moments(tracks, speed)
    samples = _sum(found, "samples")
    return {
        "speed_mean": _sum(found, "total") / samples if samples else None,
        "speed_largest": _largest(found, "largest", samples),
    }


def _strays(found: pl.DataFrame, name: str) -> Figures:
    samples = _sum(found, "samples")
    return {
        f"{name}_rmse": _rms(samples, _sum(found, "squares")),
        f"{name}_largest": _largest(found, "largest", samples),
    }


def _reversing(tracks: Tracks, velocity: Floats, heading: Floats) -> Figures:
    found = track_measures.backwards(tracks, velocity, heading, metrics.BACKWARDS)
    return {"velocity_backwards": percent(_sum(found, "back"), _sum(found, "samples"))}


def _platoon(tracks: Tracks, y: Floats, heading: Floats, along: npt.NDArray[np.bool_]) -> Figures:
    length, preceding, following, headway = tracks.read(
        "length", "preceding", "following", "headway"
    )
    found = pairs(tracks, heading, along, y, length, preceding, following, headway)
    named, absent, gaps = _sum(found, "named"), _sum(found, "absent"), _sum(found, "gaps")
    names_followers = bool((following >= 1).any())
    smallest = float(found["smallest_gap"].to_numpy().min(initial=math.inf))
    return {
        "overlaps": percent(_sum(found, "overlaps"), gaps),
        "gap_smallest": smallest if gaps else None,
        "headway_rmse": _rms(_sum(found, "headways"), _sum(found, "headway_squares")),
        "leader_absent": percent(absent, named),
        "leader_unreciprocated": percent(_sum(found, "unreciprocated"), named - absent)
        if names_followers
        else None,
    }


def _lanes(tracks: Tracks, lane: Ints, site: Site) -> Figures:
    if not bool((lane >= 0).any()):
        return {}
    lanes = _counted_lanes(site)
    counted = np.zeros(max(lanes) + 1, dtype=np.bool_)
    counted[list(lanes)] = True
    found = track_measures.lane_changes(tracks, lane, counted, metrics.STABLE_FRAMES)
    return {
        "lane_changes": _sum(found, "changes"),
        "lane_changes_stable": _sum(found, "stable"),
    }


def _counted_lanes(site: Site) -> tuple[int, ...]:
    """Lanes between which changes are counted: the mainline of a freeway, all of an arterial."""
    return tuple(
        lane for lane, kind in site.lanes.items() if site.arterial or kind.startswith("mainline")
    )


def _changed_points(
    tracks: Tracks,
    residual_along: Floats,
    residual_across: Floats,
    repaired: npt.NDArray[np.bool_],
    imputed: npt.NDArray[np.bool_],
) -> Figures:
    points = len(tracks.frame)
    values: Figures = {
        "points_repaired": percent(float(repaired.sum()), points),
        "points_imputed": percent(float(imputed.sum()), points),
    }
    for axis, residual in (("along", residual_along), ("across", residual_across)):
        found = track_measures.moments(tracks, residual)
        samples = _sum(found, "samples")
        values |= {
            f"residual_{axis}_mean": _sum(found, "total") / samples if samples else None,
            f"residual_{axis}_rmse": _rms(samples, _sum(found, "squares")),
            f"residual_{axis}_mae": _sum(found, "absolute") / samples if samples else None,
        }
    return values


def _traffic(spans: pl.DataFrame, site: Site, area: Area) -> Figures:
    """Edie's figures of the whole recording: steps of a trajectory add up to its net movement."""
    extent = site.length * area.frames * FRAME
    if not extent:
        return {}
    net = spans["net"].to_numpy()
    heading = _heading(net, site)
    distance = float(np.where(heading == 0, np.abs(net), net * heading).sum())
    time = float((spans["last"].to_numpy() - spans["first"].to_numpy()).sum()) * FRAME
    return {
        "edie_flow": 3600 * distance / extent,
        "edie_density": 1000 * time / extent,
        "edie_speed": distance / time if time else None,
    }


def _sum(measured: pl.DataFrame, column: str) -> float:
    return float(measured[column].to_numpy().sum())


def _largest(measured: pl.DataFrame, column: str, samples: float) -> float | None:
    return float(measured[column].to_numpy().max()) if samples else None


def percent(part: float, whole: float) -> float | None:
    """100 × part / whole, null of nothing."""
    return 100 * part / whole if whole else None


def _rms(samples: float, squares: float) -> float | None:
    return math.sqrt(squares / samples) if samples else None


def _deviation(samples: float, total: float, squares: float) -> float | None:
    if not samples:
        return None
    return math.sqrt(max(0.0, squares / samples - (total / samples) ** 2))
