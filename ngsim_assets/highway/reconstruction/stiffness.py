"""How stiff a smoother has to be: the cut-off frequency of each trajectory, from its own data.

Belongs here: numerical kernels and tables for them. Does not belong here: the solver
(whittaker.py), frames, vehicles.

Source of cross validation: Craven & Wahba (1979), Numerische Mathematik 31, 377.
"""

# numpy's stubs leave the results of a few functions used here untyped
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ngsim_assets.highway.reconstruction.robust import fill, median
from ngsim_assets.highway.reconstruction.whittaker import solve_all

FloatArray = NDArray[np.float64]

# Candidate cut-off frequencies in Hz. Drivers put next to nothing above 0.5 Hz into the motion
# of a vehicle; whoever is clean up to 1 Hz needs no more than this.
_CUTOFFS = np.array([0.08, 0.1, 0.125, 0.16, 0.2, 0.25, 0.32, 0.4, 0.5, 0.63, 0.8, 1.0])
# Bands above it tell nothing: recordings were smoothed there before they were delivered.
_TOP_BAND = 0.6
_CROSSINGS = np.exp(np.linspace(np.log(0.08), np.log(1.3), 29))
# Jerk spectrum of driving falls beyond the time scale of a stop-and-go manoeuvre (Hz).
_DRIVING_CORNER = 0.1
# s; means over the first tell most, those over the second are for tracks with frames missing
# throughout, as every tenth of ten a second.
_BINS = (0.3, 1.0)
# Cycles per bin up to which candidates are told apart; half a cycle is the end of all.
_HIGHEST = 0.4
_FEWEST_BINS = 8
_LAGS = 3
CORRELATED = 0.5
"""Of the typical frequency, where error is correlated and vehicles go one way: offsets of cameras
reach further down into the frequencies of driving than white error does (measured on simulated free
and congested freeways). Arterials keep the whole: the real ones brake and start too sharply."""

EXACT = 0.003
"""Metres along the road; a residual this small is no error worth taking away. Simulated tracks
without error leave at most 2 mm (472 vehicles), with the least error 4 mm."""


class Spectrum(NamedTuple):
    """What `cutoff_frequency` needs to know about its candidates, for bins of some frames.

    A bin counts if `fewest` of its frames are observed.
    """

    cutoffs: FloatArray
    stiffness: FloatArray
    leverage: FloatArray
    correlation: FloatArray
    band_width: FloatArray
    crossings: FloatArray
    log_models: FloatArray
    bin_seconds: float
    bin_frames: int
    fewest: int


def stiffness_of(cutoff: FloatArray, seconds: float) -> FloatArray:
    """Stiffness that halves the amplitude at `cutoff` Hz where samples lie `seconds` apart.

    The smoother's response is 1 / (1 + stiffness * (2 sin(pi f seconds))^6).
    """
    return (2.0 * np.sin(np.pi * cutoff * seconds)) ** -6.0


@lru_cache(maxsize=8)
def spectra(seconds: float) -> tuple[Spectrum, Spectrum]:
    """Tables for frames `seconds` apart: of all frames, and of tracks that have only a few."""
    dense, sparse = (max(1, round(length / seconds)) for length in _BINS)
    return spectrum(seconds, dense, dense), spectrum(seconds, sparse, 1)


def spectrum(seconds: float, bin_frames: int, fewest: int) -> Spectrum:
    """Responses of the candidates and spectra to fit, for means of `bin_frames` frames.

    Every model spectrum of jerk is that of driving, flat and falling with f^-2 beyond 0.1 Hz,
    plus that of position error, rising with f^6; they cross where the model is labelled.
    """
    bin_seconds = bin_frames * seconds
    cutoffs = _CUTOFFS[_CUTOFFS * bin_seconds < _HIGHEST]
    if len(cutoffs) < 2:
        cutoffs = np.array([0.5, 1.0]) * _HIGHEST / bin_seconds
    stiffness = stiffness_of(cutoffs, bin_seconds)
    angle = np.linspace(0.0, np.pi, 2001)
    response = 1.0 / (1.0 + stiffness[:, None] * (2.0 * np.sin(angle / 2.0)) ** 6)
    rest = (1.0 - response) ** 2
    correlation = np.stack(
        [
            (rest * np.cos(lag * angle)).mean(axis=1) / rest.mean(axis=1)
            for lag in range(1, _LAGS + 1)
        ],
        axis=1,
    )
    centres = np.sqrt(cutoffs[1:] * cutoffs[:-1])
    used = centres < _TOP_BAND
    centres = centres[used]
    crossing = _CROSSINGS[:, None]
    driving = (1.0 + (crossing / _DRIVING_CORNER) ** 2) / (1.0 + (centres / _DRIVING_CORNER) ** 2)
    return Spectrum(
        cutoffs=cutoffs,
        stiffness=stiffness,
        leverage=response.mean(axis=1),
        correlation=np.ascontiguousarray(correlation),
        band_width=np.diff(cutoffs)[used],
        crossings=_CROSSINGS,
        log_models=np.log(driving + (centres / crossing) ** 6),
        bin_seconds=bin_seconds,
        bin_frames=bin_frames,
        fewest=fewest,
    )


@njit(cache=True, nogil=True)
def _bin(y: Any, w: Any, frames: int, fewest: int, binned: Any, weight: Any) -> int:
    """Means over bins of `frames`, weight 0 with under `fewest` observed; how many have weight.

    The mean of some of a bin's frames belongs to another time than its middle, unless they are
    always the same ones.
    """
    used = 0
    for b in range(len(y) // frames):
        total = 0.0
        count = 0
        for i in range(b * frames, (b + 1) * frames):
            if w[i] > 0.0:
                total += y[i]
                count += 1
        counts = count >= fewest
        binned[b] = total / count if counts else 0.0
        weight[b] = 1.0 if counts else 0.0
        used += 1 if counts else 0
    return used


@njit(cache=True, nogil=True)
def _band_energies(z: Any, w: Any, bands: int, jerk: Any, energy: Any) -> int:
    """Write the summed energy of every band of jerk to `energy`; returns how many terms it has.

    The energy of a band is that of the difference of two smooths, winsorised at three times its
    mean so that one hard brake does not speak for the whole track. Bins with weight 0 are left
    out.
    """
    mean, clipped = np.empty(bands), np.empty(bands)
    fill(mean, bands, 0.0)
    fill(clipped, bands, 0.0)
    fill(energy, bands, 0.0)
    rows = 0
    for i in range(len(w) - 3):
        if w[i + 1] == 0.0 or w[i + 2] == 0.0:
            continue
        for k in range(bands):
            upper = z[i + 3, k + 1] - 3.0 * (z[i + 2, k + 1] - z[i + 1, k + 1]) - z[i, k + 1]
            lower = z[i + 3, k] - 3.0 * (z[i + 2, k] - z[i + 1, k]) - z[i, k]
            jerk[rows, k] = abs(upper - lower)
            mean[k] += jerk[rows, k]
        rows += 1
    for i in range(rows):
        for k in range(bands):
            clipped[k] += min(jerk[i, k], 3.0 * mean[k] / rows)
    for i in range(rows):
        for k in range(bands):
            energy[k] += min(jerk[i, k], 3.0 * clipped[k] / rows) ** 2
    return rows


@njit(cache=True, nogil=True)
def _crossing(z: Any, w: Any, table: Spectrum, jerk: Any) -> float:
    """Frequency where the jerk spectrum of driving and that of position error meet, in Hz.

    The model spectrum with the least absolute deviation from the log spectrum wins.
    """
    bands = len(table.band_width)
    level, rest, ordered = np.empty(bands), np.empty(bands), np.empty(bands)
    rows = max(1, _band_energies(z, w, bands, jerk, level))
    for k in range(bands):
        level[k] = math.log(level[k] / rows / table.band_width[k] + 1e-18)
    best = math.inf
    found = 0
    for c in range(len(table.crossings)):
        for k in range(bands):
            rest[k] = level[k] - table.log_models[c, k]
            ordered[k] = rest[k]
        middle = median(ordered, bands)
        misfit = 0.0
        for k in range(bands):
            misfit += abs(rest[k] - middle)
        if misfit < best:
            best = misfit
            found = c
    return table.crossings[found]


@njit(cache=True, nogil=True)
def _cross_validated(y: Any, w: Any, z: Any, used: int, table: Spectrum) -> tuple[int, float, bool]:
    """Candidate of least generalised cross validation, its residual, and whether that is white.

    Bins with weight 0 are left out; `used` is how many there are with more.
    """
    bins = len(w)
    size = len(table.cutoffs)
    squares = np.empty(size)
    fill(squares, size, 0.0)
    total = 0.0
    for i in range(bins):
        total += w[i]
        for k in range(size):
            squares[k] += w[i] * (y[i] - z[i, k]) ** 2
    best = math.inf
    found = 0
    for k in range(size):
        freedom = 1.0 - min(0.95, table.leverage[k] + 3.0 / used)
        score = squares[k] / freedom**2
        if score < best:
            best = score
            found = k
    mean = 0.0
    for i in range(bins):
        mean += w[i] * (y[i] - z[i, found])
    mean /= total
    variance = 1e-18
    for i in range(bins):
        variance += w[i] * (y[i] - z[i, found] - mean) ** 2
    white = True
    for lag in range(1, _LAGS + 1):
        product = 0.0
        for i in range(lag, bins):
            if w[i] > 0.0 and w[i - lag] > 0.0:
                product += (y[i] - z[i, found] - mean) * (y[i - lag] - z[i - lag, found] - mean)
        expected = table.correlation[found, lag - 1]
        if abs(product / variance - expected) > 0.15 + 1.5 / math.sqrt(used):
            white = False
    return found, math.sqrt(squares[found] / total), white


@njit(cache=True, nogil=True)
def cutoff_frequency(
    y: Any,
    w: Any,
    moves: Any,
    tables: Any,
    typical: float,
    low: float,
    memory: float,
    exact: float,
    scratch: Any,
    z: Any,
) -> float:
    """Cut-off frequency in Hz that separates driving from position error in one stretch.

    Two estimates from the same set of smooths of means over 0.3 s, or over 1 s where not enough
    frames are observed:

    - where the spectrum of jerk turns from falling (driving) to rising (error of position); it
      needs no assumption on the error's correlation, but is coarse;
    - the minimum of generalised cross validation, sharp where the error is white and far too
      high where it is correlated, as in delivered recordings.

    The second is believed where its residual has the autocorrelation white error would leave
    (or is below a centimetre) and it is within a factor of two of the first; below `exact` it is
    believed whatever the first says. A short stretch says little: its estimate is drawn to
    `typical`, which counts as much as 10 s of data; to `low` where the error is correlated.

    Only frames on which the vehicle moves are looked at: trackers hold on to what stands still
    without any error, which says nothing about what moves.

    Args:
        y, w, moves: positions in m of consecutive frames, weights 0 or 1, whether it moves.
        typical: Hz, for stretches without enough data. low: the same where error is correlated.
        tables: of `spectra`. memory: s, see `smoothing.RobustWhittaker`.
        exact: m, EXACT along the road; 0 across it, where trackers keep to lanes without any
            error and then step aside (measured on peachtree).
        scratch, z: work space, 5 x m x k and m x k with m the most bins, k the most candidates.
    """
    binned, weight = np.empty(len(y)), np.empty(len(y))
    table = tables[0]
    used = _bin(y, w, table.bin_frames, table.fewest, binned, weight)
    if 2 * used < len(y) // table.bin_frames:
        table = tables[1]
        used = _bin(y, w, table.bin_frames, table.fewest, binned, weight)
    bins = len(y) // table.bin_frames
    if used < _FEWEST_BINS or 2 * used < bins:
        return typical
    binned, weight = binned[:bins], weight[:bins]
    sway = (table.bin_seconds / memory) ** 2
    solve_all(binned, weight, bins, table.stiffness, sway, scratch, z)
    used = 0
    for b in range(bins):
        weight[b] *= moves[b * table.bin_frames + table.bin_frames // 2]
        used += 1 if weight[b] > 0.0 else 0
    if used < _FEWEST_BINS:
        return typical
    seconds = used * table.bin_seconds
    trust = seconds / (seconds + 10.0)
    # the coarse estimate lies a little low where driving is livelier than its model
    coarse = 1.1 * _crossing(z, weight, table, scratch[4])
    found, deviation, white = _cross_validated(binned, weight, z, used, table)
    fine = table.cutoffs[found]
    if deviation < exact or (deviation < 0.01 and fine <= 3.0 * coarse):
        return fine
    guard = math.exp(trust * math.log(coarse) + (1.0 - trust) * math.log(typical))
    if not white or fine > 2.0 * guard:
        return math.exp(trust * math.log(coarse) + (1.0 - trust) * math.log(low))
    trust = seconds / (seconds + 5.0)
    return math.exp(trust * math.log(fine) + (1.0 - trust) * math.log(typical))
