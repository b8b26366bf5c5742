"""What cleaning did to the traffic: both stages of a recording side by side.

Belongs here: figures that take both stages. Does not belong here: figures of one stage
(stage_metrics.py), names and limits (catalogue.py).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import polars as pl

from ngsim_assets.highway.assessment import metrics
from ngsim_assets.highway.assessment.cells import Cells
from ngsim_assets.highway.assessment.pooling import Figures
from ngsim_assets.highway.assessment.stage_metrics import Stage
from ngsim_assets.highway.assessment.track_measures import FRAME, Floats


def changes(before: Stage, after: Stage) -> Figures:
    """Figures of the cleaned stage that hold it against the validated one."""
    found: Figures = {}
    for figure in ("edie_flow", "edie_density", "edie_speed", "wave_speed"):
        was, now = before.figures.get(figure), after.figures.get(figure)
        if was and now is not None:
            found[f"{figure}_change"] = 100 * (now / was - 1)
    return found | _cells(before.cells, after.cells) | _distances(before.spans, after.spans)


def _cells(before: Cells, after: Cells) -> Figures:
    found: Figures = {}
    both = (before.time > 0) & (after.time > 0)
    if both.any():
        weight = before.time[both]
        difference = after.distance[both] / after.time[both] - before.distance[both] / weight
        mean = float((np.abs(difference) * weight).sum() / weight.sum())
        found["edie_cell_speed_difference"] = mean
        found["edie_cell_speed_rms"] = _root(float((difference**2 * weight).sum() / weight.sum()))
    either = (before.time > 0) | (after.time > 0)
    if either.any():
        area = metrics.CELL_LENGTH * metrics.CELL_FRAMES * FRAME
        found["edie_cell_flow_rms"] = 3600 / area * _rms(after.distance, before.distance, either)
        found["edie_cell_density_rms"] = 1000 / area * _rms(after.time, before.time, either)
    return found


def _rms(after: Floats, before: Floats, where: npt.NDArray[np.bool_]) -> float:
    return _root(float(np.mean((after[where] - before[where]) ** 2)))


def _root(mean_square: float) -> float:
    return float(np.sqrt(mean_square))


def _distances(before: pl.DataFrame, after: pl.DataFrame) -> Figures:
    """Of trajectories that begin and end at the same frames in both."""
    both = before.join(after, on=("vehicle_id", "first", "last"), suffix="_after").sort(
        "vehicle_id"
    )
    if both.is_empty():
        return {}
    moved = np.abs(both["net_after"].to_numpy() - both["net"].to_numpy())
    return {
        "distance_change_mean": float(moved.mean()),
        "distance_change_largest": float(moved.max()),
    }
