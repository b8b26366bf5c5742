"""The triangular fundamental diagram that cells of traffic state show.

Flow grows with density at the free speed up to the capacity, and falls from there along a line of
the wave speed to 0 at the jam density. Each figure is read off the cells that show it, and off no
others; where none do, it is None, and says why.

Belongs here: free speed, capacity, critical and jam density, with their uncertainty. Does not
belong here: wave speed (waves.py), drawing (pictures).

Sources: the triangle, Newell (1993), A simplified theory of kinematic waves in highway traffic,
Transportation Research Part B 27, 281-313; the densities that bound free and congested cells,
levels of service of basic freeway segments in the Highway Capacity Manual (2010), exhibit 11-5.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import polars as pl

from ngsim_assets.highway.flow.cells import coarser
from ngsim_assets.highway.flow.waves import WaveSpeed

DIAGRAM_GRID = {"duration": 30.0, "cell_length": 50.0}
"""s and m of the cells, those of the published figures of FlowState; finer ones are joined."""

FREE_DENSITY = 11.2
"""veh/km, 18 veh/mi: up to it (level of service B) vehicles hardly hinder each other."""

CONGESTED_DENSITY = 28.0
"""veh/km, 45 veh/mi: over it (level of service F) demand has exceeded the capacity."""

LEAST_FREE_SPEED = 20.0
"""m/s, 45 mph: the manual's freeways flow freely at 55 mph and more. Where thin traffic is slower,
most of the vehicles are missing, as in an excerpt."""

CAPACITY_SHARE = 0.95
"""Capacity is the flow that 1 in 20 cells exceeds: the largest flow is that of a chance platoon."""

LEAST_OBSERVED = 0.5
"""Part of a cell that has to be observed for it to show anything of the diagram."""

_LEAST_CELLS = 20
_LEAST_CONGESTED = 0.1  # of the cells: a ramp's merging cells alone are no congestion
_STRETCHES = 8  # equal stretches of time the uncertainty is told from
_STUDENT_90 = 1.895  # two-sided 90 % of Student's t with 7 degrees of freedom


@dataclass(frozen=True, slots=True)
class Estimate:
    """One figure of the diagram, per lane.

    Attributes:
        value: None where the cells do not show it. unit: its unit.
        low, high: 90 % interval, from leaving out each of eight stretches of time in turn
            (jackknife); None without a value or where the cells lie in fewer stretches.
        cells: number it was read off. method: how. reason: why there is no value, else empty.
    """

    value: float | None
    unit: str
    method: str
    low: float | None = None
    high: float | None = None
    cells: int = 0
    reason: str = ""


@dataclass(frozen=True, slots=True)
class FundamentalDiagram:
    """A triangle: free speed (m/s), capacity (veh/h), critical and jam density (veh/km), per lane.

    Attributes: wave: the slope of its falling side, as it was given.
    """

    free_speed: Estimate
    capacity: Estimate
    critical_density: Estimate
    jam_density: Estimate
    wave: WaveSpeed | None


def fundamental_diagram(state: pl.DataFrame, wave: WaveSpeed | None = None) -> FundamentalDiagram:
    """What the cells of a traffic state say about free speed, capacity and jam density.

    Args:
        state: `TrafficState` rows on one grid, of the lanes to be taken together (main_lanes);
            best on DIAGRAM_GRID, finer cells are joined. Cells observed by less than half, and
            those of arterials (their flow is what signals let pass), show nothing.
        wave: `wave_speed` of the same traffic; without it no jam density is told.
    """
    cells = coarser(state.filter(pl.col("direction").is_null()), **DIAGRAM_GRID).filter(
        pl.col("observed_share") >= LEAST_OBSERVED, pl.col("time_spent") > 0
    )
    arterial = cells.is_empty() and not state.is_empty()
    if arterial:
        why = "signals, not the road, say what flows on an arterial"
    else:
        why = "" if cells.height >= _LEAST_CELLS else f"fewer than {_LEAST_CELLS} cells"
    free_speed = _free_speed(cells, why)
    capacity = _capacity(cells, why)
    return FundamentalDiagram(
        free_speed,
        capacity,
        _critical_density(free_speed, capacity),
        _jam_density(cells, wave, why),
        wave,
    )


def _free_speed(cells: pl.DataFrame, why: str) -> Estimate:
    free = cells.filter(pl.col("density") <= FREE_DENSITY)
    method = f"distance over time in cells of at most {FREE_DENSITY:g} veh/km"
    if not why and free.height < _LEAST_CELLS:
        why = f"fewer than {_LEAST_CELLS} cells of at most {FREE_DENSITY:g} veh/km"
    mean = pl.col("distance_travelled").sum() / pl.col("time_spent").sum()
    found = _estimate(free, mean, "m/s", method, why)
    if found.value is not None and found.value < LEAST_FREE_SPEED:
        why = f"thin traffic at {3.6 * found.value:.0f} km/h: vehicles must be missing"
        return Estimate(None, "m/s", method, cells=free.height, reason=why)
    return found


def _capacity(cells: pl.DataFrame, why: str) -> Estimate:
    method = f"flow exceeded by {1.0 - CAPACITY_SHARE:.0%} of the cells, where some are congested"
    why = why or _why_uncongested(cells)
    most = pl.col("flow").quantile(CAPACITY_SHARE, "linear")
    return _estimate(cells, most, "veh/h", method, why)


def _jam_density(cells: pl.DataFrame, wave: WaveSpeed | None, why: str) -> Estimate:
    congested = cells.filter(_CONGESTED)
    method = (
        f"median of density + flow / wave speed over cells of over {CONGESTED_DENSITY:g} veh/km"
    )
    why = why or _why_uncongested(cells) or ("" if wave and wave.speed else "no wave speed")
    if why or wave is None or wave.speed is None:
        return Estimate(None, "veh/km", method, cells=congested.height, reason=why)

    def jam(speed: float) -> pl.Expr:
        return (pl.col("density") - pl.col("flow") / (3.6 * speed)).median()

    found = _estimate(congested, jam(wave.speed), "veh/km", method, why)
    if found.value is None or found.low is None or wave.low is None or wave.high is None:
        return replace(found, low=None, high=None)
    # independent: that of the cells, and that of the wave speed
    far, near = (congested.select(jam(speed)).item() for speed in (wave.low, wave.high))
    reach = math.hypot(found.value - found.low, (near - far) / 2.0)
    return replace(found, low=found.value - reach, high=found.value + reach)


def _why_uncongested(cells: pl.DataFrame) -> str:
    congested = cells.filter(_CONGESTED).height
    if congested >= max(_LEAST_CELLS, _LEAST_CONGESTED * cells.height):
        return ""
    return f"no congestion: {congested} of {cells.height} cells over {CONGESTED_DENSITY:g} veh/km"


def _critical_density(free_speed: Estimate, capacity: Estimate) -> Estimate:
    method = "capacity over free speed"
    if free_speed.value is None or capacity.value is None:
        return Estimate(
            None, "veh/km", method, reason=f"no {'free speed' if capacity.value else 'capacity'}"
        )
    return Estimate(
        capacity.value / (3.6 * free_speed.value), "veh/km", method, cells=capacity.cells
    )


_CONGESTED = pl.col("density") > CONGESTED_DENSITY


def _estimate(cells: pl.DataFrame, figure: pl.Expr, unit: str, method: str, why: str) -> Estimate:
    """`figure` of the cells with its interval, or none because of `why`."""
    if why:
        return Estimate(None, unit, method, cells=cells.height, reason=why)

    def value_of(some: pl.DataFrame) -> float:
        return some.select(figure).item()

    low, high = _interval(cells, value_of)
    return Estimate(value_of(cells), unit, method, low, high, cells.height)


def _interval(
    cells: pl.DataFrame, value_of: Callable[[pl.DataFrame], float]
) -> tuple[float | None, float | None]:
    times = pl.col("time_cell") - pl.col("time_cell").min()
    parts = cells.with_columns(
        (times * _STRETCHES // (times.max() + 1)).over("highway_id", "recording").alias("stretch")
    )
    if parts["stretch"].n_unique() < _STRETCHES:
        return None, None
    without = [value_of(parts.filter(pl.col("stretch") != left)) for left in range(_STRETCHES)]
    mean = math.fsum(without) / _STRETCHES
    squares = math.fsum((value - mean) ** 2 for value in without)
    reach = _STUDENT_90 * math.sqrt((_STRETCHES - 1) / _STRETCHES * squares)
    value = value_of(cells)
    return value - reach, value + reach
