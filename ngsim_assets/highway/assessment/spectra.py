"""Spectra of what vehicles do: how much of a signal's variance lies at which frequency.

Belongs here: Welch's estimate over all trajectories at once. Does not belong here: which share of
it counts as noise (metrics.py), pictures of it (plots.py).

Source: Welch (1967), The use of fast Fourier transform for the estimation of power spectra, IEEE
Transactions on Audio and Electroacoustics 15, 70-73.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from ngsim_assets.highway.assessment.track_measures import FRAME, Floats, Tracks

WINDOW = 12.8  # s: 128 frames, 0.08 Hz apart; a vehicle is in view for 40 s and more
MOST = 8192  # segments looked at, 14 h of driving: more would not change the mean
_BATCH = 2048  # segments transformed at a time: 4 MB


def mean_spectrum(
    tracks: Tracks, values: Floats, seconds: float = FRAME, window: float = WINDOW
) -> tuple[Floats, Floats]:
    """One-sided power density of `values` (one per row of `tracks`), mean over all segments.

    Segments are `window` seconds of consecutive frames with a value each, half of each shared
    with the next one of the same stretch; the mean of each is taken off and a Hann window put on
    it. Every segment weighs the same, so a trajectory weighs by its length; those shorter than a
    segment have none. Of more than `MOST` segments every second, third, ... is looked at.

    Args:
        tracks, values: what to look at; NaN ends a stretch like a missing frame.
        seconds: between frames. window: s, length of a segment.

    Returns:
        Frequencies in Hz from 0 to the Nyquist frequency; power density in values²/Hz, NaN
        where no stretch is long enough. Its sum times the distance of frequencies is the mean
        variance within segments.
    """
    length = max(2, round(window / seconds))
    frequencies = np.fft.rfftfreq(length, seconds)
    first = _segments(
        np.argsort(tracks.vehicle), tracks.starts, tracks.frame, values, length, length // 2
    )
    first = first[:: max(1, -(-len(first) // MOST))]
    if not len(first):
        return frequencies, np.full(len(frequencies), np.nan)
    taper = np.hanning(length + 1)[:-1]  # periodic, as a transform sees it
    power = np.zeros(len(frequencies))
    for low in range(0, len(first), _BATCH):
        waves = np.fft.rfft(_tapered(values, first[low : low + _BATCH], taper), axis=1)
        power += (waves.real**2 + waves.imag**2).sum(axis=0)
    density = power * seconds / (len(first) * (taper**2).sum())
    # The negative half of the spectrum is counted with the positive one; 0 and Nyquist have none.
    density[1 : -1 if length % 2 == 0 else None] *= 2
    return frequencies, density


@njit(cache=True, nogil=True)
def _segments(order: Any, starts: Any, frame: Any, values: Any, length: int, hop: int) -> Any:
    """First row of every segment, trajectories in the order given."""
    rows = 0
    first = np.empty(len(frame) // hop + 1, np.int64)
    for track in order:
        run = 0
        for i in range(starts[track], starts[track + 1]):
            if np.isnan(values[i]):
                run = 0
                continue
            follows = run > 0 and frame[i] - frame[i - 1] == 1
            run = run + 1 if follows else 1
            if run >= length and (run - length) % hop == 0:
                first[rows] = i - length + 1
                rows += 1
    return first[:rows]


@njit(cache=True, nogil=True)
def _tapered(values: Any, first: Any, taper: Any) -> Any:
    out = np.empty((len(first), len(taper)))
    for row in range(len(first)):
        total = 0.0
        for k in range(len(taper)):
            total += values[first[row] + k]
        mean = total / len(taper)
        for k in range(len(taper)):
            out[row, k] = (values[first[row] + k] - mean) * taper[k]
    return out
