"""Traffic by Newell's model: every vehicle repeats its leader, later and farther back.

Belongs here: trajectories whose wave speed, free speed and jam density are known exactly, as
validated points. Does not belong here: what is measured on them.

Source: Newell (2002), A simplified car-following theory: a lower order model, Transportation
Research Part B 36, 195-205.
"""

from __future__ import annotations

import numpy as np
import polars as pl

from ngsim_assets_tests.highway import driven

Floats = driven.Floats


def stop_and_go_leader(seconds: float, free_speed: float, seed: int = 0) -> Floats:
    """Positions (m), each second, of a leader whom waves of 80 to 160 s slow down, some to 0."""
    random = np.random.default_rng(seed)
    speed = np.full(int(seconds), free_speed)
    at = 0
    while at < len(speed):
        period = int(random.uniform(80.0, 160.0))
        slow = int(random.uniform(0.35, 0.6) * period)
        dip = np.hanning(2 * slow)
        lowest = random.uniform(0.0, 0.3)
        stretch = speed[at : at + 2 * slow]
        stretch -= free_speed * (1.0 - lowest) * np.minimum(1.0, 1.6 * dip[: len(stretch)])
        at += max(period, 2 * slow)
    return np.concatenate([[0.0], np.cumsum(speed)])


def traffic(
    leader: Floats,
    *,
    wave: float,
    spacing: float,
    lanes: int = 1,
    length: float = 600.0,
    noise: float = 0.0,
    seed: int = 0,
) -> pl.DataFrame:
    """Followers of one leader per lane while they are in a section, a point a second.

    Args:
        leader: positions (m) each second. wave: m/s, against the traffic, positive here.
        spacing: m between fronts in a jam. noise: standard deviation of positions (m).
    """
    random = np.random.default_rng(seed)
    time = np.arange(len(leader), dtype=np.float64)
    delay = spacing / wave
    first_speed = leader[1] - leader[0]  # which it had all along
    parts: list[pl.DataFrame] = []
    for lane in range(1, lanes + 1):
        shift = random.uniform(0.0, 20.0)
        for follower in range(int(len(leader) / delay)):
            # where the leader was, that much earlier, and that much farther back
            earlier = time - delay * follower
            y = np.interp(earlier, time, leader) + first_speed * np.minimum(earlier, 0.0)
            y += length + shift - spacing * follower
            seen = (y >= 0.0) & (y <= length)
            if seen.sum() < 2:
                continue
            first, end = np.flatnonzero(seen)[[0, -1]]
            rows = driven.narrow(lane * 10_000 + follower, y[first : end + 1])
            rows = rows.with_columns(
                frame=pl.Series(10 * np.arange(first, end + 1), dtype=pl.Int32),
                y_position=pl.col("y_position")
                + pl.Series(noise * random.standard_normal(rows.height)),
            )
            parts.append(driven.points(rows, lane_id=lane))
    return pl.concat(parts)
