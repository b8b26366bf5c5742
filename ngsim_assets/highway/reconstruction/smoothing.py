"""What a way to smooth stretches of trajectories is, and the default: the robust Whittaker fit.

A method takes the stretches of many vehicles as arrays and returns their motion; `filters.Smooth`
puts one to work on a table. A further method is a further class with the shape of `Method`, and
an entry in methods.py.

Belongs here: the shape of methods, the default's parameters. Does not belong here: its kernels
(reconstruct.py), its peers (moving_average.py, savitzky_golay.py, kalman.py, butterworth.py),
tables.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ngsim_assets.highway.reconstruction.reconstruct import Options, reconstruct_stretches
from ngsim_assets.highway.reconstruction.stiffness import FloatArray, spectra

MOTION = (
    "x_position",
    "y_position",
    "velocity_x",
    "velocity_y",
    "acceleration_x",
    "acceleration_y",
    "jerk",
)
"""Rows a method returns, in order; only the first two if it is differential."""

# s: errors come in bursts up to the one, and the other to either side is looked at for a brake.
_BURST, _MANOEUVRE = 0.9, 0.4

# Below it, a second thread costs more than it saves.
_POINTS_PER_THREAD = 20_000


def share(run: Callable[[int, int], None], start: NDArray[np.int64], threads: int | None) -> None:
    """Call `run(first, last)` on shares of the stretches with about as many points each."""
    stretches = len(start) - 1
    points = int(start[-1])
    available = threads or os.cpu_count() or 1
    shares = max(1, min(available, points // _POINTS_PER_THREAD if threads is None else stretches))
    if shares == 1:
        run(0, stretches)
        return
    cuts = np.searchsorted(start, np.linspace(0, points, shares + 1)[1:-1])
    edges = [0, *(int(cut) for cut in cuts), stretches]
    with ThreadPoolExecutor(shares) as pool:
        for done in [pool.submit(run, a, b) for a, b in pairwise(edges)]:
            done.result()


@dataclass(frozen=True)
class MotionLimits:
    """What reconstructed motion has to respect.

    Attributes:
        seconds: s per frame.
        one_way: whether every vehicle travels towards larger y; otherwise each vehicle's
            direction is read off its track, and one that turns may have both.
        acceleration: m/s², absolute. jerk: m/s³, absolute.
    """

    seconds: float = 0.1
    one_way: bool = False
    acceleration: float = 9.0
    jerk: float = 15.0


@dataclass(frozen=True)
class Stretches:
    """Runs of consecutive frames as arrays.

    Attributes:
        start: first point of every run, and one more.
        x, y: m, finite. state: codes, may be raised to repaired by a method.
    """

    start: NDArray[np.int64]
    x: FloatArray
    y: FloatArray
    state: NDArray[np.uint8]


class Method(Protocol):
    """A way to smooth."""

    @property
    def label(self) -> str:
        """Name of the method, for the record."""
        ...

    @property
    def differential(self) -> bool:
        """Whether the motion is the differences of the positions, as kinematics.py defines them."""
        ...

    def move(self, stretches: Stretches, limits: MotionLimits, threads: int | None) -> FloatArray:
        """Rows of every point: x, y; if not `differential` those of MOTION after them too."""
        ...


@dataclass(frozen=True)
class RobustWhittaker:
    """Penalised third differences, robust, as stiff as each track asks for (the default).

    Attributes:
        cutoff: Hz at which amplitudes are halved; None: chosen per vehicle and axis from the
            data (`stiffness.cutoff_frequency`).
        typical_cutoff: Hz, for tracks too short to tell: 0.25 Hz lies between the 1 s Thiemann
            et al. average speed over and the 4 s they average acceleration over.
        memory: s over which drivers keep an acceleration; beyond it the penalty acts on
            acceleration too. Matters for tracks of a few seconds.
        sigmas: residual in robust standard deviations at which Tukey's weight reaches 0.
        least_sigma: m; smaller standard deviations are taken as this: with `sigmas`, nothing
            within the 0.5 m NGSIM states for its position error is an outlier.
        tail: degrees of freedom of the t distribution assumed for jerk; small: more contrast
            between brakes and cruising.
        standstill_distance, standstill_duration: m, s; who stays within this distance for this
            long stands and is held still.
    """

    label: str = field(default="robust_whittaker", init=False)
    cutoff: float | None = None
    typical_cutoff: float = 0.25
    memory: float = 5.0
    sigmas: float = 6.0
    least_sigma: float = 0.1
    tail: float = 10.0
    standstill_distance: float = 0.15
    standstill_duration: float = 2.0

    @property
    def differential(self) -> bool:
        """It is."""
        return True

    def move(self, stretches: Stretches, limits: MotionLimits, threads: int | None) -> FloatArray:
        """Positions by the penalised fit; observed points it rejects become repaired."""
        tables = spectra(limits.seconds)
        options = Options(
            seconds=limits.seconds,
            cutoff=self.cutoff or 0.0,
            typical_cutoff=self.typical_cutoff,
            memory=self.memory,
            sigmas=self.sigmas,
            least_sigma=self.least_sigma,
            tail=self.tail,
            standstill_distance=self.standstill_distance,
            standstill_duration=self.standstill_duration,
            one_way=limits.one_way,
            acceleration=limits.acceleration,
            jerk=limits.jerk,
            burst=max(1, round(_BURST / limits.seconds)),
            manoeuvre=round(_MANOEUVRE / limits.seconds),
        )
        place = np.empty((2, len(stretches.x)))

        def run(first: int, last: int) -> None:
            reconstruct_stretches(
                first, last, stretches.start, stretches.x, stretches.y, stretches.state,
                tables, options, place,
            )  # fmt: skip

        share(run, stretches.start, threads)
        return place
