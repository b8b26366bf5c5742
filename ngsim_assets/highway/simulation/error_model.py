"""What the cameras make of the truth: positions, speeds and accelerations as NGSIM delivers them.

Belongs here: the measurement errors and their levels. Does not belong here: motion
(car_following.py), faults a row can have on top (faults.py). SI units.

The delivered freeway data have a signature that white noise does not give: speeds sit for a
second on multiples of 5 ft/s (one image pixel of 0.5 ft per frame), then run to the next one with
accelerations up to the clip. `track` imitates how that comes about: a template follower moves by a
whole number of pixels per frame and keeps doing so until it has drifted too far from what the
camera sees; then it catches up and locks again; the result is smoothed and differentiated. The
figures below were set on 26 tracks of delivered us-101 and i-80 rows (10,596 rows).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ngsim_assets.highway.formats import FOOT
from ngsim_assets.highway.simulation.car_following import TIME_STEP

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Noise:
    """How the cameras err. Lengths in metres, one standard deviation; 0 switches a part off.

    Attributes:
        white: per frame and vehicle, independent.
        correlated, correlation_time: an Ornstein-Uhlenbeck error and its time constant (s).
        hand_over: offset along the road of each camera for each vehicle: a jump at each border.
        cameras: number of cameras in a row (FHWA: 8 at US-101, 7 at I-80).
        pixel: step of the template follower, 0 for none.
        drift: how far the follower may be off before it corrects.
        lateral: Ornstein-Uhlenbeck error across the road, with twice the time constant.
        smoothing: half width (s) of the triangular window positions are smoothed with.
    """

    white: float = 0.0
    correlated: float = 0.0
    correlation_time: float = 1.5
    hand_over: float = 0.0
    cameras: int = 8
    pixel: float = 0.0
    drift: float = 0.0
    lateral: float = 0.0
    smoothing: float = 0.0


PIXEL = 0.5 * FOOT

NOISE: dict[str, Noise] = {
    "none": Noise(),
    "white": Noise(white=0.15, lateral=0.1),
    "correlated": Noise(white=0.02, correlated=0.35, lateral=0.12, smoothing=0.2),
    "hand-over": Noise(white=0.02, correlated=0.15, hand_over=0.6, lateral=0.12, smoothing=0.2),
    "light": Noise(
        white=0.05,
        correlated=0.15,
        hand_over=0.2,
        pixel=PIXEL,
        drift=0.40,
        lateral=0.12,
        smoothing=0.3,
    ),
    "ngsim": Noise(
        white=0.10,
        correlated=0.15,
        hand_over=0.25,
        pixel=PIXEL,
        drift=0.32,
        lateral=0.12,
        smoothing=0.2,
    ),
    "severe": Noise(
        white=0.12,
        correlated=0.30,
        hand_over=0.6,
        pixel=PIXEL,
        drift=0.45,
        lateral=0.2,
        smoothing=0.2,
    ),
}
"""Levels by name. By Punzo's test `ngsim` gives 18-19 % of jerks over 15 m/s³ (published:
6.5-22.8), 63 % of one-second windows with several sign inversions (72-75) and a third of all rows
on a plateau of speed (32 % delivered); `light` has 4-5 % of jerks
(the excerpt itself: 8-9)."""


@njit(cache=True, nogil=True)
def _seen(starts: I64, y: F64, normals: F64, borders: F64, noise: F64, length: float) -> F64:
    """Position as the cameras see it before tracking: truth + white + OU + camera offset.

    `normals` has two standard normal numbers per row; `borders` one per vehicle and camera.
    """
    white, correlated, keep, hand_over = noise
    cameras = borders.shape[1]
    fresh = math.sqrt(1.0 - keep * keep)
    out = np.empty_like(y)
    for vehicle in range(len(starts) - 1):
        drifting = 0.0
        for k in range(starts[vehicle], starts[vehicle + 1]):
            drifting = (
                normals[k, 0] if k == starts[vehicle] else keep * drifting + fresh * normals[k, 0]
            )
            camera = min(cameras - 1, max(0, int(y[k] / length * cameras)))
            out[k] = (
                y[k]
                + white * normals[k, 1]
                + correlated * drifting
                + hand_over * borders[vehicle, camera]
            )
    return out


@njit(cache=True, nogil=True)
def _follow(starts: I64, seen: F64, pixel: float, drift: float) -> F64:
    """Track of a template follower that moves by whole pixels per frame.

    Locked, it keeps its displacement; off by more than `drift`, it corrects by a third of the
    error per frame until the error has changed sign or is under a pixel, then locks on the
    nearest whole displacement of the last half second.
    """
    out = np.empty_like(seen)
    for vehicle in range(len(starts) - 1):
        first = starts[vehicle]
        end = starts[vehicle + 1]
        position = seen[first]
        out[first] = position
        ahead = min(first + 5, end - 1)
        step = 0.0
        if ahead > first:
            step = round((seen[ahead] - seen[first]) / (ahead - first) / pixel) * pixel
        correcting = False
        for k in range(first + 1, end):
            back = max(first, k - 5)
            pace = (seen[k] - seen[back]) / (k - back)
            error = seen[k] - (position + step)
            if not correcting and abs(error) > drift:
                correcting = True
            if correcting:
                step = pace + (seen[k] - position - pace) / 4.0
                if abs(seen[k] - position - pace) < pixel:
                    correcting = False
                    step = round(pace / pixel) * pixel
            step = max(step, 0.0)
            position += step
            out[k] = position
    return out


@njit(cache=True, nogil=True)
def _smooth(starts: I64, values: F64, half: int) -> F64:
    """Triangular moving average of `half` frames to either side, shrinking towards the ends."""
    if half == 0:
        return values.copy()
    out = np.empty_like(values)
    for vehicle in range(len(starts) - 1):
        first = starts[vehicle]
        end = starts[vehicle + 1]
        for k in range(first, end):
            reach = min(half, k - first, end - 1 - k)
            total = (reach + 1) * values[k]
            weight = reach + 1.0
            for d in range(1, reach + 1):
                w = reach + 1 - d
                total += w * (values[k - d] + values[k + d])
                weight += 2.0 * w
            out[k] = total / weight
    return out


@njit(cache=True, nogil=True)
def _central(starts: I64, values: F64) -> F64:
    """Central differences per second, one-sided at the ends of a track, 0 for a single row."""
    out = np.zeros_like(values)
    for vehicle in range(len(starts) - 1):
        first = starts[vehicle]
        end = starts[vehicle + 1]
        for k in range(first, end):
            low = max(first, k - 1)
            high = min(end - 1, k + 1)
            if high > low:
                out[k] = (values[high] - values[low]) / ((high - low) * TIME_STEP)
    return out


@dataclass(frozen=True, slots=True)
class Observation:
    """Delivered kinematics, row by row like the truth they come from (metres, seconds)."""

    x: F64
    y: F64
    speed: F64
    acceleration: F64


def observe(
    starts: I64,
    x: F64,
    y: F64,
    noise: Noise,
    *,
    length: float,
    clipped_acceleration: float | None,
    rng: np.random.Generator,
) -> Observation:
    """True positions as delivered: with errors, speed and acceleration by differences.

    `starts` are the first rows of each vehicle and one past the last row; rows of a vehicle
    are consecutive frames. `length` (m) of the section is shared out among the cameras.
    Accelerations saturate at `clipped_acceleration` (m/s²), as delivered ones do.
    """
    rows = len(y)
    vehicles = len(starts) - 1
    borders = rng.standard_normal((vehicles, noise.cameras))
    keep = math.exp(-TIME_STEP / noise.correlation_time)
    seen = _seen(
        starts,
        y,
        rng.standard_normal((rows, 2)),
        borders,
        np.array([noise.white, noise.correlated, keep, noise.hand_over]),
        length,
    )
    if noise.pixel:
        seen = _follow(starts, seen, noise.pixel, noise.drift)
    half = round(noise.smoothing / TIME_STEP)
    seen = _smooth(starts, seen, half)
    keep_lateral = math.exp(-TIME_STEP / (2.0 * noise.correlation_time))
    aside = _seen(
        starts,
        x,
        rng.standard_normal((rows, 2)),
        np.zeros((vehicles, 1)),
        np.array([0.1 * noise.lateral, noise.lateral, keep_lateral, 0.0]),
        length,
    )
    speed = np.maximum(_central(starts, seen), 0.0)
    acceleration = _central(starts, speed)
    if clipped_acceleration is not None:
        acceleration = np.clip(acceleration, -clipped_acceleration, clipped_acceleration)
    return Observation(_smooth(starts, aside, half), seen, speed, acceleration)
