"""Lanes: what was never driven goes, what was stays where it was."""

from __future__ import annotations

from itertools import groupby

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ngsim_assets.highway.reconstruction.filters import STATE
from ngsim_assets.highway.reconstruction.lanes import Lanes

Stays = list[tuple[int | None, int]]


def _points(stays: Stays, x: dict[int | None, float] | None = None) -> pl.DataFrame:
    """One vehicle; `x` says how far across the road it is in a lane, 0 by default."""
    lane = [lane for lane, frames in stays for _ in range(frames)]
    return pl.DataFrame(
        {
            "vehicle_id": pl.Series([1] * len(lane), dtype=pl.Int32),
            "frame": pl.Series(range(len(lane)), dtype=pl.Int32),
            "x_position": [float((x or {}).get(k, 0.0)) for k in lane],
            "lane_id": pl.Series(lane, dtype=pl.Int32),
        }
    )


def _stays(points: pl.DataFrame, column: str = "lane_id") -> Stays:
    return [(lane, len(list(rows))) for lane, rows in groupby(points[column].to_list())]


def _plausible(stays: Stays, x: dict[int | None, float] | None = None) -> Stays:
    return _stays(Lanes().apply(_points(stays, x)))


@pytest.mark.parametrize(
    ("said", "plausible"),
    [
        ([(1, 20), (2, 9), (1, 20)], [(1, 49)]),
        ([(1, 20), (2, 10), (1, 20)], [(1, 20), (2, 10), (1, 20)]),
        # to and fro on the line between two lanes: one change
        ([(1, 20), (2, 3), (1, 2), (2, 4), (1, 3), (2, 30)], [(1, 20), (2, 42)]),
        # a blip right after a change does not take the change with it
        ([(6, 40), (8, 9), (6, 2), (8, 20)], [(6, 40), (8, 31)]),
        # two lanes away and back for longer than a blip
        ([(1, 20), (3, 15), (1, 20)], [(1, 55)]),
        # so long that lanes must be numbered so
        ([(1, 20), (3, 30), (1, 20)], [(1, 20), (3, 30), (1, 20)]),
        # on the way from one lane to another
        ([(6, 20), (8, 5), (5, 20)], [(6, 20), (8, 5), (5, 20)]),
        ([(2, 20), (3, 3), (4, 20)], [(2, 20), (3, 3), (4, 20)]),
        # not known for a moment, and for longer
        ([(1, 20), (None, 5), (1, 20)], [(1, 45)]),
        ([(1, 20), (None, 10), (1, 20)], [(1, 20), (None, 10), (1, 20)]),
        ([(1, 20), (None, 5), (2, 20)], [(1, 20), (None, 5), (2, 20)]),
        # there is nothing to go by at an end
        ([(2, 1), (1, 20), (2, 3)], [(2, 1), (1, 20), (2, 3)]),
        ([(None, 20)], [(None, 20)]),
        ([(7, 1)], [(7, 1)]),
    ],
)
def test_what_is_plausible(said: Stays, plausible: Stays) -> None:
    assert _plausible(said) == plausible


def test_who_moves_aside_is_believed() -> None:
    said: Stays = [(1, 20), (3, 15), (1, 20)]
    assert _plausible(said, {3: 7.3}) == said


def test_what_was_said_stays_beside_it_and_imputed_points_take_the_nearest() -> None:
    said = _points([(1, 10), (2, 3), (1, 10), (3, 20)])
    state = np.array(["observed"] * 43)
    state[20:26] = "imputed"  # three of lane 1, three of lane 3
    rows = said.with_columns(
        pl.Series("state", state).cast(STATE),
        lane_id=pl.when(pl.Series(state == "imputed")).then(None).otherwise("lane_id"),
    )
    out = Lanes()(rows.lazy()).collect()
    assert _stays(out) == [(1, 23), (3, 20)]
    assert _stays(out, "lane_raw") == [(1, 10), (2, 3), (1, 7), (None, 6), (3, 17)]


def test_thresholds_are_in_seconds() -> None:
    said = _points([(1, 20), (2, 12), (1, 20)])
    assert _stays(Lanes(seconds=0.04).apply(said)) == [(1, 52)]
    assert _stays(Lanes(seconds=1.0).apply(_points([(1, 5), (2, 1), (1, 5)])))[1] == (2, 1)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**31))
def test_each_vehicle_by_itself_in_any_order(seed: int) -> None:
    random = np.random.default_rng(seed)
    parts = []
    for vehicle in range(1, 4):
        lanes = random.choice([1, 2, 3, 5, None], int(random.integers(1, 12)))
        frames = random.choice([1, 4, 9, 10, 25, 40], len(lanes))
        part = _points(list(zip(lanes, map(int, frames), strict=True)))
        kept = pl.Series(random.random(part.height) > 0.1)
        moved = pl.Series(random.normal(0.0, 3.0, part.height))
        part = part.with_columns(vehicle_id=pl.lit(vehicle, pl.Int32), x_position=moved)
        parts.append(part.filter(kept))
    rows = pl.concat(parts)
    out = Lanes().apply(rows)
    assert out["lane_raw"].equals(rows["lane_id"].rename("lane_raw"))
    shuffled = Lanes().apply(rows.sample(fraction=1.0, shuffle=True, seed=seed))
    assert shuffled.sort("vehicle_id", "frame").equals(out)
    assert pl.concat(Lanes().apply(part) for part in parts).equals(out)
    for _, track in out.group_by("vehicle_id"):
        assert set(track["lane_id"]) <= set(track["lane_raw"])
        before, after = (len(_stays(track, name)) for name in ("lane_raw", "lane_id"))
        assert after <= before
