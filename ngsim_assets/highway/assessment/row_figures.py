"""Figures of a stage's rows: what is there, what is filled in, what changes that must not.

Belongs here: completeness, coverage, lanes and properties of vehicles. Does not belong here:
motion (motion_figures.py), traffic and pairs of vehicles (traffic_figures.py), names and limits
(catalogue.py).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import polars as pl

from ngsim_assets.highway.assessment import metrics, track_measures
from ngsim_assets.highway.assessment.cells import Cells, Grid
from ngsim_assets.highway.assessment.completeness import covered, gap_classes, longest_run
from ngsim_assets.highway.assessment.pooling import Figures, percent, summed
from ngsim_assets.highway.assessment.track_measures import FRAME, Floats, Ints, Tracks
from ngsim_assets.highway.sites import Site


def completeness(tracks: Tracks, spans: pl.DataFrame, site: Site, grid: Grid) -> Figures:
    """Frames and gaps, and how much of the grid's time and of the section was seen."""
    seen, missing = summed(spans, "seen"), summed(spans, "missing")
    complete = float((spans["missing"].to_numpy() == 0).sum())
    longest = spans["longest_gap"].to_numpy().max(initial=0.0)
    counts = gap_classes(tracks, metrics.GAP_CLASSES)
    begins, end = grid.first_frame, grid.first_frame + grid.frames
    there = covered(spans["first"].to_numpy(), spans["last"].to_numpy() + 1, begins, end)
    along = covered(spans["near"].to_numpy(), spans["far"].to_numpy(), 0.0, site.length)
    return {
        "trajectories": float(spans.height),
        "points": seen,
        "completeness": percent(seen, seen + missing),
        "trajectories_complete": percent(complete, spans.height),
        "gaps": summed(spans, "gaps"),
        "gap_longest": float(longest) * FRAME,
        **{
            name: float(count)
            for name, count in zip(metrics.gap_class_names(), counts, strict=True)
        },
        "coverage_time": percent(there, grid.frames),
        "coverage_space": percent(along, site.length) if spans.height else None,
    }


def coverage(cells: Cells, grid: Grid, site: Site, lane: Ints) -> Figures:
    """Cells of time and space with a vehicle in them, of the lanes that have any."""
    if not bool((lane >= 0).any()):
        return {}
    _, _, rows = grid.shape
    middle = grid.y_low + (np.arange(rows) + 0.5) * grid.cell_length
    occupied = cells.time[:-1, :, (middle > 0) & (middle < site.length)] > 0
    share = occupied.mean(axis=(1, 2))
    used = share > 0
    figures: Figures = {"coverage_cells": float(100 * share[used].mean()) if used.any() else None}
    if not site.arterial:
        figures |= {f"coverage_lane_{n}": float(100 * share[n]) for n in site.lanes}
    return figures


def declared(tracks: Tracks, spans: pl.DataFrame, where: npt.NDArray[np.intp]) -> Figures:
    """Frames seen against Total_Frames."""
    if not len(tracks):
        return {}
    [total_frames] = tracks.read("total_frames")
    total = np.maximum.reduceat(total_frames, tracks.starts[:-1]).astype(np.float64)
    known = total > 0
    seen, total = spans["seen"].to_numpy()[where][known], total[known]
    return {
        "completeness_declared": percent(float(np.minimum(seen, total).sum()), float(total.sum())),
        "trajectories_declared_complete": percent(float((seen >= total).sum()), len(total)),
        "trajectories_beyond_declared": percent(float((seen > total).sum()), len(total)),
    }


def states(
    tracks: Tracks, repaired: npt.NDArray[np.bool_], imputed: npt.NDArray[np.bool_]
) -> Figures:
    """Points that are not as seen."""
    points = len(tracks.frame)
    return {
        "points_repaired": percent(float(repaired.sum()), points),
        "points_imputed": percent(float(imputed.sum()), points),
        "imputed_longest": longest_run(tracks, imputed) * FRAME if points else None,
    }


def corrected_lanes(tracks: Tracks) -> Figures:
    """Points whose lane is not the one that was delivered."""
    corrected, known = tracks.read("lane_corrected", "lane_known")
    return {"lane_corrected": percent(float(corrected.sum()), float(known.sum()))}


def lanes(tracks: Tracks, lane: Ints, site: Site) -> Figures:
    """Changes of lane, and those that last."""
    if not bool((lane >= 0).any()):
        return {}
    between = _counted_lanes(site)
    counted = np.zeros(max(between) + 1, dtype=np.bool_)
    counted[list(between)] = True
    found = track_measures.lane_changes(tracks, lane, counted, metrics.STABLE_FRAMES)
    return {
        "lane_changes": summed(found, "changes"),
        "lane_changes_stable": summed(found, "stable"),
    }


def _counted_lanes(site: Site) -> tuple[int, ...]:
    """Lanes between which changes are counted: the mainline of a freeway, all of an arterial."""
    return tuple(
        lane for lane, kind in site.lanes.items() if site.arterial or kind.startswith("mainline")
    )


def vehicles(tracks: Tracks, length: Floats) -> Figures:
    """Properties of a vehicle that change inside its trajectory."""
    figures: Figures = {}
    lengths = _spreads(tracks, length)
    for name in ("class", "width"):
        [values] = tracks.read(name)
        figures[f"trajectories_{name}_changes"] = _changing(_spreads(tracks, values))
    return figures | {
        "trajectories_length_changes": _changing(lengths),
        "length_spread_largest": float(lengths.max()) if len(lengths) else None,
    }


_SAME = 0.002  # m: half of the delivered 0.01 ft, and more than the rounding of single precision


def _spreads(tracks: Tracks, values: Floats | Ints) -> Floats:
    found = track_measures.spread(tracks, values)
    apart = found["largest"].to_numpy() - found["smallest"].to_numpy()
    return apart[~np.isnan(apart)]


def _changing(spreads: Floats) -> float | None:
    return percent(float((spreads > _SAME).sum()), len(spreads))
