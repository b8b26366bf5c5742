"""A circuit as a line, and how fast it can be driven.

Belongs here: curvature, the speed it allows, the line in metres. Does not belong here: who drives
there and when (telemetry.py).

Corners are bends whose curvature rises and falls smoothly to 1/radius. A car takes a bend at no
more than its grip, which grows with speed, and reaches that speed with the acceleration its power
gives and the deceleration its brakes give. Grip is chosen so that the fastest lap is a little
quicker than any that is raced: a lap that takes longer is the same line, slower everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from ngsim_assets.f1.circuits import circuit
from ngsim_assets.f1.simulation.profiles import profile_of

Floats = NDArray[np.float64]

STEP = 4.0
"""m between points of the line."""

TOP_SPEED = 96.0
"""m/s; 346 km/h, as the fastest of real car data."""

QUICKER = 0.93
"""Fastest possible lap over the lap time of the profile."""

POWER = 800.0  # W/kg
DRAG = 0.0011  # 1/m: deceleration over speed squared
TRACTION = 12.0  # m/s²
_BRAKES, _BRAKES_AERO = 14.0, 0.004  # m/s², 1/m
_GRIP, _GRIP_AERO = 17.0, 0.0045  # m/s², 1/m
_RNG_OF_LINES = 20_260_101


@dataclass(frozen=True, slots=True, eq=False)
class Track:
    """The line around a circuit, a point every STEP m.

    Attributes:
        curvature: 1/m, right turns positive.
        limit: speed that curvature and grip allow, m/s.
        speed: speed of the fastest lap, m/s.
        elapsed: time of it at each point, and at the line at its end, s.
        launch, launch_elapsed: the same of a lap from a standing start.
        x, y: m.
        zone: points at which drag reduction may be used.
    """

    length: float
    curvature: Floats
    limit: Floats
    speed: Floats
    elapsed: Floats
    launch: Floats
    launch_elapsed: Floats
    x: Floats
    y: Floats
    zone: NDArray[np.bool_]

    @property
    def lap_time(self) -> float:
        """Fastest possible lap, s."""
        return float(self.elapsed[-1])


@lru_cache(maxsize=32)
def track_of(name: str) -> Track:
    """The line of a circuit, by any of its names."""
    place, profile = circuit(name), profile_of(name)
    count = round(place.lap_length / STEP)
    step = place.lap_length / count
    curvature = _curvature(profile.corners or _drawn(place.key), count, step)
    low, high = 0.3, 4.0
    wanted = QUICKER * profile.lap_time
    for _ in range(14):
        grip = (low + high) / 2
        speed, limit = _fastest(curvature, step, grip)
        if (step / speed).sum() > wanted:
            low = grip
        else:
            high = grip
    speed, limit = _fastest(curvature, step, high)
    launch = _launched(speed, step)
    x, y = _line(curvature, step)
    return Track(
        place.lap_length,
        curvature,
        limit,
        speed,
        _elapsed(speed, step),
        launch,
        _elapsed(launch, step),
        x,
        y,
        _zones(speed, step),
    )


def _elapsed(speed: Floats, step: float) -> Floats:
    return np.concatenate([[0.0], np.cumsum(step / speed)])


def acceleration(speed: Floats, step: float) -> Floats:
    """Acceleration at each point of a closed lap, m/s²."""
    after = np.roll(speed, -1)
    return (after**2 - speed**2) / (2 * step)


def _curvature(corners: tuple[tuple[float, float, float], ...], count: int, step: float) -> Floats:
    curvature = np.zeros(count)
    turned = 0.0
    for place, angle, radius in corners:
        bend = np.radians(abs(angle)) * radius * 2  # a raised cosine is half of its peak on average
        points = max(3, round(bend / step))
        shape = (1 - np.cos(2 * np.pi * (np.arange(points) + 0.5) / points)) / 2
        at = (round(place * count) + np.arange(points) - points // 2) % count
        curvature[at] += np.sign(angle) / radius * shape
        turned += angle
    # the rest of a full turn is spread over the lap, as gentle bends that limit nobody
    full = 360.0 if turned >= 0 else -360.0
    return curvature + np.radians(full - turned) / (count * step)


def _drawn(key: str) -> tuple[tuple[float, float, float], ...]:
    """Corners of a circuit whose own are not known: the same ones every time."""
    draw = np.random.default_rng([_RNG_OF_LINES, *key.encode()])
    count = int(draw.integers(11, 18))
    places = (np.arange(count) + draw.uniform(0.2, 0.8, count)) / count
    angles = draw.uniform(35, 120, count) * np.where(draw.random(count) < 0.62, 1, -1)
    radii = draw.uniform(18, 120, count)
    return tuple(
        (float(p), float(a), float(r)) for p, a, r in zip(places, angles, radii, strict=True)
    )


def _fastest(curvature: Floats, step: float, grip: float) -> tuple[Floats, Floats]:
    """Speed of the fastest lap, and what curvature alone allows."""
    bend = np.maximum(np.abs(curvature) - grip * _GRIP_AERO, 1e-6)
    limit = np.minimum(np.sqrt(grip * _GRIP / bend), TOP_SPEED)
    speed: list[float] = limit.tolist()
    count = len(speed)
    for k in range(2 * count):  # twice around, so that the end fits the beginning
        here, after = speed[k % count], (k + 1) % count
        speed[after] = min(speed[after], _reached(here, step))
    for k in range(2 * count, 0, -1):
        here, before = speed[k % count], (k - 1) % count
        slowed = (here * here + 2 * step * (_BRAKES + _BRAKES_AERO * here * here)) ** 0.5
        speed[before] = min(speed[before], slowed)
    return np.array(speed), limit


def _launched(speed: Floats, step: float) -> Floats:
    """The fastest lap from a standing start; the first points are passed at walking pace."""
    launched: list[float] = []
    reached = 2.0
    for limit in speed.tolist():
        launched.append(min(limit, reached))
        reached = _reached(launched[-1], step)
    return np.array(launched)


def _reached(speed: float, step: float) -> float:
    """Speed after a step with all the drive there is."""
    push = min(TRACTION, POWER / max(speed, 1.0)) - DRAG * speed * speed
    return (speed * speed + 2 * step * max(push, 0.0)) ** 0.5


def _line(curvature: Floats, step: float) -> tuple[Floats, Floats]:
    """Points of the line; what is missing to a closed one is spread over the lap."""
    heading = np.cumsum(curvature) * step
    x = np.cumsum(np.sin(heading)) * step
    y = np.cumsum(np.cos(heading)) * step
    share = np.arange(1, len(x) + 1) / len(x)
    return x - x[-1] * share, y - y[-1] * share


def _zones(speed: Floats, step: float) -> NDArray[np.bool_]:
    """The two longest stretches without braking, their first 150 m left out."""
    free = acceleration(speed, step) > -1.0
    start = int(np.argmin(free))  # not within a stretch
    rolled = np.roll(free, -start)
    edges = np.flatnonzero(np.diff(np.concatenate([[0], rolled.astype(int), [0]])))
    stretches = sorted(
        zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True), key=lambda s: s[0] - s[1]
    )
    zone = np.zeros(len(speed), dtype=bool)
    for first, last in stretches[:2]:
        zone[first + round(150 / step) : last] = True
    return np.roll(zone, start)
