"""The speed at which stop-and-go waves run through traffic, read off its cells.

What happens at a place happens at another one upstream a little later. The speeds of every two
places of a lane are correlated over all lags; lines of one wave speed through distances and lags
are averaged, and the speed whose line is highest is the estimate. Lines with the traffic are
looked at too: in free flow speeds travel with the vehicles that drive them, and no wave is
reported.

Belongs here: the estimate and its uncertainty. Does not belong here: laying cells out (cells.py),
drawing (pictures).

Sources: cross-correlation of speeds between neighbouring places, Coifman and Wang (2005), Average
velocity of waves propagating through congested freeway traffic, 16th International Symposium on
Transportation and Traffic Theory, 165-179. Averaging along lines of one slowness instead of
fitting a line through single maxima is the slant stack of seismology (Schultz and Claerbout 1978,
Geophysics 43, 691).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numba import njit

from ngsim_assets.highway.flow.cells import Field, Floats, field_of

METHOD = "cross-correlation of cell speeds over distances and lags (after Coifman and Wang 2005)"

WAVE_GRID = {"duration": 5.0, "cell_length": 20.0}
"""s and m of the cells an estimate is read off; finer ones are joined to these. Simulated waves
come out the same, within 2 %, on cells up to 10 s x 20 m, within 17 % at 30 s x 50 m."""

SLOWEST, FASTEST = 2.0, 12.0
"""m/s, 7 to 43 km/h against the traffic; published waves run at 10 to 25 km/h."""

LEAST_CORRELATION = 0.3
"""Mean correlation along the line of the wave. Simulated congestion has 0.4 to 0.7, simulated
free flow at most 0.3 on cells of up to 10 s."""

_SHORTEST, _LONGEST = 60.0, 400.0  # m between places: vehicles' own length, and a wave's life
_COARSEST = 30.0  # s; a wave takes that long for 120 m
_STRETCHES = 8  # equal stretches of time the uncertainty is told from
_STUDENT_90 = 1.895  # two-sided 90 % of Student's t with 7 degrees of freedom
_FREE_FASTEST = 45.0  # m/s with the traffic
_SLOWNESS_STEP = 0.001  # s/m


@dataclass(frozen=True, slots=True)
class WaveSpeed:
    """Speed of waves along the section, m/s, negative against the traffic.

    Attributes:
        speed: None where no wave can be told.
        low, high: 90 % interval of the mean speed, the faster end first, from leaving out each of
            eight stretches of time in turn (jackknife); None where no wave can be told.
        correlation: mean along the line of the wave, 0 to 1; None where nothing was correlated.
        duration, cell_length: s and m of the cells it was read off.
        reason: why there is no speed, else empty.
        method: how it was found, with its source.
    """

    speed: float | None
    low: float | None
    high: float | None
    correlation: float | None
    duration: float
    cell_length: float
    reason: str = ""
    method: str = METHOD


def wave_speed(state: pl.DataFrame) -> WaveSpeed:
    """Mean speed of the waves in a traffic state.

    Args:
        state: `TrafficState` rows on one grid, of one or several recordings, best on WAVE_GRID;
            finer cells are joined, cells of over 30 s refused. Lanes are taken together.

    Returns:
        The speed with its uncertainty, or why there is none.
    """
    return wave_speed_of(field_of(state, WAVE_GRID["duration"], WAVE_GRID["cell_length"]))


def wave_speed_of(field: Field) -> WaveSpeed:
    """`wave_speed` of speeds that are laid out already."""
    nothing = _why_nothing(field)
    if nothing:
        return WaveSpeed(None, None, None, None, field.duration, field.cell_length, nothing)
    correlated = _correlate(field)
    slowness = np.arange(1.0 / FASTEST, 1.0 / SLOWEST, _SLOWNESS_STEP)
    against = _along_lines(correlated, correlated.sums.sum(axis=0), slowness)
    with_traffic = _along_lines(
        correlated,
        correlated.sums.sum(axis=0),
        -np.arange(1.0 / _FREE_FASTEST, 1.0 / SLOWEST, _SLOWNESS_STEP),
    )
    best = float(np.max(against))
    size = field.duration, field.cell_length
    if best < LEAST_CORRELATION:
        why = "no pattern of speeds runs against the traffic"
        return WaveSpeed(None, None, None, best, *size, why)
    if best <= float(np.max(with_traffic)):
        why = "patterns of speed travel with the traffic rather than against it"
        return WaveSpeed(None, None, None, best, *size, why)
    found = _peak(slowness, against)
    if found is None:
        why = f"no wave between {3.6 * SLOWEST:.0f} and {3.6 * FASTEST:.0f} km/h stands out"
        return WaveSpeed(None, None, None, best, *size, why)
    low, high = _interval(correlated, slowness, found)
    return WaveSpeed(-1.0 / found, low, high, best, *size)


def _why_nothing(field: Field) -> str:
    """Why a field cannot show waves, empty if it might."""
    _, times, places = field.speed.shape
    if not np.isfinite(field.speed).any():
        return "nobody drove along the section"
    if field.duration > _COARSEST:
        return f"cells of {field.duration:g} s are longer than {_COARSEST:g} s"
    if (places - 1) * field.cell_length < 2 * _SHORTEST:
        return f"places reach over less than {2 * _SHORTEST:g} m"
    if times * field.duration < _SHORTEST / SLOWEST or times < 2 * _STRETCHES:
        return "the recording is too short"
    return ""


@dataclass(frozen=True, slots=True)
class _Correlated:
    """Sums over pairs of speeds, by stretch of time, distance, lag: 1, a, b, aa, bb, ab.

    Attributes:
        distances: m. lags: number of cells of time to either side. duration: s, of a cell.
    """

    sums: Floats
    distances: Floats
    lags: int
    duration: float


def _correlate(field: Field) -> _Correlated:
    places = field.speed.shape[2]
    steps = np.arange(1, places, dtype=np.int64)
    distances = steps.astype(np.float64) * field.cell_length
    # the farthest pairs are few: half of all places have a partner
    farthest = min(_LONGEST, max(places * field.cell_length / 2.0, 2.0 * _SHORTEST))
    steps = steps[(distances >= _SHORTEST) & (distances <= farthest)]
    lags = int(np.ceil(steps[-1] * field.cell_length / SLOWEST / field.duration)) + 2
    stretch = -(-field.speed.shape[1] // _STRETCHES)
    sums = _products(_levelled(field.speed), steps, lags, stretch, _STRETCHES)
    sums = np.moveaxis(sums, 2, 3)
    return _Correlated(sums, steps.astype(np.float64) * field.cell_length, lags, field.duration)


def _levelled(speed: Floats) -> Floats:
    """Speeds less their mean at each place of each lane, so that a bottleneck is no wave.

    The mean over the whole recording: one over the minutes around cuts waves at its ends, which
    makes them look up to 10 % faster.
    """
    known = np.isfinite(speed)
    count = np.maximum(known.sum(axis=1, keepdims=True), 1)
    return speed - np.where(known, speed, 0.0).sum(axis=1, keepdims=True) / count


@njit(cache=True, nogil=True)
def _products(speed: Any, steps: Any, lags: int, stretch: int, stretches: int) -> Any:
    """`_Correlated.sums`, lags last; a positive one is the later moment at the place upstream."""
    streams, times, places = speed.shape
    wide = 2 * lags + 1
    sums = np.zeros((stretches, len(steps), 6, wide))
    # Each place over time with nothing before and after it, so that the lags of one moment lie
    # side by side and are summed together.
    there = np.zeros((places, times + 2 * lags))
    value, square = np.zeros_like(there), np.zeros_like(there)
    for stream in range(streams):
        for place in range(places):
            for time in range(times):
                found = speed[stream, time, place]
                known = not math.isnan(found)
                there[place, lags + time] = 1.0 if known else 0.0
                value[place, lags + time] = found if known else 0.0
                square[place, lags + time] = found * found if known else 0.0
        for number, step in enumerate(steps):
            for place in range(places - step):
                for time in range(times):
                    if there[place + step, lags + time] == 0.0:
                        continue
                    a, aa = value[place + step, lags + time], square[place + step, lags + time]
                    into = sums[time // stretch, number]
                    for lag in range(wide):
                        known, b = there[place, time + lag], value[place, time + lag]
                        into[0, lag] += known
                        into[1, lag] += a * known
                        into[2, lag] += b
                        into[3, lag] += aa * known
                        into[4, lag] += square[place, time + lag]
                        into[5, lag] += a * b
    return sums


def _along_lines(correlated: _Correlated, sums: Floats, slowness: Floats) -> Floats:
    """Mean correlation along the line of each slowness (s/m) through distances and lags.

    Distances weigh as much as they have in common at no lag. Between lags the correlation is
    interpolated with a cubic: a straight line would draw the maximum to whole lags.
    """
    count = np.maximum(sums[..., 0], 1.0)
    mean_a, mean_b = sums[..., 1] / count, sums[..., 2] / count
    variance_a, variance_b = sums[..., 3] / count - mean_a**2, sums[..., 4] / count - mean_b**2
    scale = np.sqrt(np.maximum(variance_a, 0.0) * np.maximum(variance_b, 0.0))
    covariance = sums[..., 5] / count - mean_a * mean_b
    values = np.where(scale > 1e-9, covariance / np.where(scale > 1e-9, scale, 1.0), 0.0)
    at = np.outer(correlated.distances, slowness) / correlated.duration + correlated.lags
    base = np.clip(np.floor(at).astype(np.int64), 1, values.shape[1] - 3)
    part = at - base
    rows = np.arange(len(values))[:, None]
    before, here, after, beyond = (values[rows, base + offset] for offset in (-1, 0, 1, 2))
    # Catmull and Rom's cubic
    interpolated = here + 0.5 * part * (
        after
        - before
        + part
        * (
            2.0 * before
            - 5.0 * here
            + 4.0 * after
            - beyond
            + part * (3.0 * (here - after) + beyond - before)
        )
    )
    weight = sums[:, correlated.lags, 0]
    if weight.sum() <= 0.0:
        return np.zeros(len(slowness))
    return weight @ interpolated / weight.sum()


def _peak(slowness: Floats, height: Floats) -> float | None:
    """Slowness of the highest line, between steps by a parabola; None if it is at an end."""
    top = int(np.argmax(height))
    if top in {0, len(height) - 1}:
        return None
    below, here, above = height[top - 1 : top + 2]
    bend = below - 2.0 * here + above
    shift = 0.5 * (below - above) / bend if bend < 0.0 else 0.0
    return float(slowness[top] + shift * _SLOWNESS_STEP)


def _interval(
    correlated: _Correlated, slowness: Floats, found: float
) -> tuple[float | None, float | None]:
    """90 % interval of the speed, by leaving out each stretch of time in turn."""
    total = correlated.sums.sum(axis=0)
    without: list[float] = []
    for part in correlated.sums:
        peak = _peak(slowness, _along_lines(correlated, total - part, slowness))
        if peak is not None:
            without.append(peak)
    if len(without) < _STRETCHES:
        return None, None
    spread = np.array(without) - np.mean(without)
    reach = _STUDENT_90 * float(np.sqrt((_STRETCHES - 1) / _STRETCHES * np.sum(spread**2)))
    fastest, slowest = max(found - reach, 1.0 / 45.0), found + reach
    return -1.0 / fastest, -1.0 / slowest
