"""Speed of every method of reconstruction, beside scipy called once per vehicle.

    python -m benchmarks.methods [--minutes 5] [--rounds 5]

Positions of a simulated congested recording with the errors of NGSIM. Measured are the filter
`Smooth` alone, on one thread and on all, and all filters of cleaning together. Rounds are
interleaved and the best of each counts, because the machine may be shared: ratios mean more than
points per second. scipy's functions do less than the methods beside them (one axis at a time, no
ends of short stretches, no table), but as much of it as most scripts do.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import polars as pl
from scipy import signal

from ngsim_assets.highway.clean import CleaningParameters, pipeline
from ngsim_assets.highway.formats import FOOT
from ngsim_assets.highway.reconstruction.filters import Smooth
from ngsim_assets.highway.reconstruction.methods import METHODS
from ngsim_assets.highway.simulate import Scenario, simulate
from ngsim_assets.highway.sites import US_101

Contenders = dict[tuple[str, str], Callable[[], object]]

ALONE, SHARED, ALL = "smooth, 1 thread", "smooth, all threads", "all filters"


def positions(minutes: float) -> pl.DataFrame:
    """vehicle_id, frame, x_position and y_position (m) as delivered."""
    made = simulate(Scenario(minutes=minutes, congestion="congested", noise="ngsim", seed=1))
    return made.recording.select(
        "vehicle_id",
        frame="frame_id",
        x_position=pl.col("local_x") * (FOOT / 1000.0),
        y_position=pl.col("local_y") * (FOOT / 1000.0),
    )


def methods(points: pl.DataFrame) -> Contenders:
    """Every method three ways."""
    made: Contenders = {}
    for label, kind in METHODS.items():
        smooth = Smooth(kind())
        whole = pipeline(US_101, CleaningParameters(method=kind()))
        made[label, ALONE] = lambda step=smooth: step.apply(points, threads=1)
        made[label, SHARED] = lambda step=smooth: step.apply(points)
        made[label, ALL] = lambda step=whole: step.apply(points)
    return made


def scipys(points: pl.DataFrame) -> Contenders:
    """scipy on one vehicle after the other: x, v, a of both axes, and positions of both."""
    tracks = [
        part.select("x_position", "y_position").to_numpy().T
        for part in points.partition_by("vehicle_id")
        if part.height > 21
    ]
    low_pass = signal.butter(2, 1.0, fs=10.0, output="sos")

    def savitzky_golay() -> object:
        return [
            [signal.savgol_filter(track, 21, 3, deriv=d, delta=0.1) for d in range(3)]
            for track in tracks
        ]

    def butterworth() -> object:
        return [signal.sosfiltfilt(low_pass, track) for track in tracks]

    return {
        ("scipy.signal.savgol_filter", ALONE): savitzky_golay,
        ("scipy.signal.sosfiltfilt", ALONE): butterworth,
    }


def fastest(contenders: Contenders, rounds: int) -> dict[tuple[str, str], float]:
    """Seconds of the best round of each, after one that does not count."""
    best = dict.fromkeys(contenders, float("inf"))
    for turn in range(rounds + 1):
        for key, run in contenders.items():
            begun = time.perf_counter()
            run()
            if turn:
                best[key] = min(best[key], time.perf_counter() - begun)
    return best


def main() -> None:
    """Simulate, measure, print."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--minutes", type=float, default=5.0)
    arguments.add_argument("--rounds", type=int, default=5)
    options = arguments.parse_args()
    points = positions(options.minutes)
    best = fastest(methods(points) | scipys(points), options.rounds)
    ways = (ALONE, SHARED, ALL)
    vehicles = points["vehicle_id"].n_unique()
    print(f"{points.height:,} points of {vehicles:,} vehicles; M points/s\n")
    print(f"| method | {' | '.join(ways)} |")
    print(f"|---|{'---:|' * len(ways)}")
    for label in dict.fromkeys(label for label, _ in best):
        speeds = (
            f"{points.height / best[label, way] / 1e6:.2f}" if (label, way) in best else ""
            for way in ways
        )
        print(f"| {label} | {' | '.join(speeds)} |")


if __name__ == "__main__":
    main()
