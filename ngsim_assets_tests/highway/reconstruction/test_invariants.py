"""What holds for every cleaned recording, whatever was delivered."""

from __future__ import annotations

from itertools import groupby

import numpy as np
import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ngsim_assets.highway.clean import (
    MOVED_FROM,
    CleaningParameters,
    Leaders,
    clean,
    complete_chunk,
    move,
    segments,
    take_apart,
)
from ngsim_assets.highway.model import CLEANED_TRAJECTORIES
from ngsim_assets.highway.sites import US_101
from ngsim_assets_tests.highway import driven

LENGTH = 4.5
PARAMETERS = CleaningParameters()
LIMITS = US_101.limits


def _recording(seed: int) -> pl.DataFrame:
    """Two lanes of vehicles close behind each other: noise, spikes, gaps, wrong lanes and leaders.

    Most do not overlap in truth, but some gaps are less than the errors of position.
    """
    random = np.random.default_rng(seed)
    frames = int(random.integers(1, 220))
    parts = []
    for lane in (1, 2):
        y = driven.stop_and_go(frames, seed % 40 + lane)
        offsets = np.cumsum(LENGTH + random.uniform(0.2, 3.0, int(random.integers(1, 4))))
        for k, offset in enumerate(offsets, start=1):
            error = driven.drifting(frames, seed + k, 0.3, 3.0) + random.normal(0.0, 0.1, frames)
            error[random.random(frames) < 0.01] += 5.0
            x = 3.6 * lane + driven.drifting(frames, seed + k, 0.1, 3.0)
            kept = random.random(frames) > random.choice([0.0, 0.05])
            at = int(random.integers(0, frames))
            kept[at : at + int(random.integers(0, 40))] = False
            said = np.full(frames, lane)
            said[random.random(frames) < 0.02] = random.choice([1, 2, 3])
            rows = driven.narrow(10 * lane + k, y + offset + error, x=x)
            parts.append(
                rows.with_columns(
                    lane_id=pl.Series(said),
                    preceding_id=10 * lane + k + 1 if k < len(offsets) else None,
                ).filter(pl.Series(kept))
            )
    rows = pl.concat(parts, how="vertical_relaxed")
    wrong = pl.Series(random.random(rows.height) < 0.01)
    named = pl.when(wrong).then(11).otherwise("preceding_id")
    return _as_points(rows.with_columns(preceding_id=named))


def _as_points(rows: pl.DataFrame, **columns: object) -> pl.DataFrame:
    told = {name: pl.col(name) for name in ("lane_id", "preceding_id") if name in rows.columns}
    return driven.points(rows, length=LENGTH, width=1.8, **(told | columns))


def _tracks(points: pl.DataFrame) -> list[pl.DataFrame]:
    """Runs of consecutive frames."""
    run = (pl.col("frame") - pl.int_range(pl.len())).alias("run")
    return points.partition_by("vehicle_id", maintain_order=True) and [
        part for _, part in points.group_by("vehicle_id", run, maintain_order=True)
    ]


def _overlaps(points: pl.DataFrame) -> pl.DataFrame:
    """Pairs in one lane, less than their width apart across it, with the gap between them."""
    ahead = points.select(
        "frame", preceding_id="vehicle_id", lane="lane_id", x="x_position", y="y_position"
    )
    pairs = points.join(ahead, on=["preceding_id", "frame"])
    beside = (pl.col("x") - pl.col("x_position")).abs() > 1.8
    return pairs.filter((pl.col("lane") == pl.col("lane_id")) & ~beside).with_columns(
        gap=pl.col("y") - pl.col("y_position") - LENGTH
    )


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**31))
@example(13832)  # a stay whose neighbour outlives the one beyond it
def test_every_cleaned_recording(seed: int) -> None:
    points = _recording(seed)
    out = clean(points.lazy(), US_101).collect()
    assert out.columns == list(CLEANED_TRAJECTORIES.schema)

    # nothing is lost, nothing is made up but what is marked, and what was there is kept
    key = ["vehicle_id", "frame"]
    assert out.select(key).is_unique().all()
    seen = out.filter(pl.col("state") != "imputed").sort(key)
    given_ = points.sort(key)
    assert seen.select(key).equals(given_.select(key))
    for raw, name in (("x_raw", "x_position"), ("y_raw", "y_position"), ("lane_raw", "lane_id")):
        assert seen[raw].equals(given_[name].rename(raw))
        assert (
            out.filter(pl.col("state") == "imputed")[raw].null_count() == out.height - seen.height
        )

    for track in _tracks(out):
        if track.height == 1:  # one position says nothing of motion
            assert track.select("velocity_y", "speed", "jerk").row(0) == (None, None, None)
            continue
        y, v = track["y_position"].to_numpy(), track["velocity_y"].to_numpy()
        a, j = track["acceleration_y"].to_numpy(), track["jerk"].to_numpy()
        assert (v >= 0.0).all()
        assert (np.diff(y) >= 0.0).all()
        assert (np.abs(a) <= LIMITS.acceleration + 1e-6).all()
        assert (np.abs(j) <= LIMITS.jerk + 1e-6).all()
        np.testing.assert_allclose(y[:-1] + 0.1 * v[:-1] + 0.005 * a[:-1], y[1:], atol=1e-9)
        if len(y) > 2:
            np.testing.assert_allclose(v[:-1] + 0.05 * (a[:-1] + a[1:]), v[1:], atol=1e-9)
        np.testing.assert_allclose(a[:-1] + 0.1 * j[:-1], a[1:], atol=1e-6)

    # gaps over the limit stay open, others are closed, tracks go as far as they went
    for _, track in out.group_by("vehicle_id"):
        frame = np.sort(given_.filter(vehicle_id=track["vehicle_id"][0])["frame"].to_numpy())
        steps = np.diff(track["frame"].to_numpy())
        assert sorted(steps[steps > 1]) == sorted(np.diff(frame)[np.diff(frame) > 20])
        sound = track.filter((pl.col("y_raw") - pl.col("y_position")).abs() < 1.0, state="observed")
        if sound.height > 1:
            ends = sound[[0, -1]]
            way = [ends[name].diff()[1] for name in ("y_raw", "y_position")]
            assert abs(way[0] - way[1]) < 2.0

    pairs = _overlaps(out)
    assert pairs.filter((pl.col("gap") < 0.0) & (pl.col("gap") > -0.05)).height == 0
    as_seen = out.filter(state="observed").join(
        points.group_by("vehicle_id").agg(pl.len().alias("rows")), on="vehicle_id"
    )
    by = (as_seen["y_raw"] - as_seen["y_position"]).abs()
    assert as_seen.filter((by > 2.0) & (pl.col("rows") > 40)).is_empty()

    for _, track in out.group_by("vehicle_id"):
        lanes = [(k, len(list(rows))) for k, rows in groupby(track["lane_id"].to_list())]
        inner = zip(lanes, lanes[1:], lanes[2:], strict=False)
        assert all(b[1] >= 10 or a[0] != c[0] for a, b, c in inner) or len(_tracks(track)) > 1


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 2**31))
def test_order_and_parts_do_not_matter(seed: int) -> None:
    points = _recording(seed)
    out = clean(points.lazy(), US_101).collect().sort("vehicle_id", "frame")
    shuffled = points.sample(fraction=1.0, shuffle=True, seed=seed)
    again = clean(shuffled.lazy(), US_101).collect().sort("vehicle_id", "frame")
    assert again.equals(out)
    vehicles = points.partition_by("vehicle_id", maintain_order=True)
    for parts in (vehicles, vehicles[::-1]):
        apart = take_apart([move(part, US_101, threads=1) for part in parts], US_101)
        leaders = Leaders.of(apart.parts)
        done = [
            complete_chunk(motion, part, leaders, US_101)
            for motion, part in zip(apart.parts, parts, strict=True)
        ]
        assert pl.concat([out.clear(), *done]).sort("vehicle_id", "frame").equals(out)


_STANDING = np.full(60, 20.0)


@pytest.mark.parametrize(
    "rows",
    [
        driven.narrow(1, np.array([5.0])),
        driven.narrow(1, np.array([5.0, 6.0])),
        driven.narrow(1, driven.stop_and_go(80, 1)),
        driven.narrow(1, _STANDING),
        pl.concat(driven.narrow(k, _STANDING + 7.0 * k) for k in range(1, 5)),
        pl.concat(driven.narrow(k, _STANDING) for k in range(1, 5)),
        pl.concat(driven.narrow(k, np.array([3.0 * k])) for k in range(1, 30)),
    ],
    ids=["row", "two rows", "vehicle", "stands", "all stand", "all in one place", "seen once"],
)
@pytest.mark.parametrize("lane", [None, 2])
def test_recordings_with_next_to_nothing_in_them(rows: pl.DataFrame, lane: int | None) -> None:
    ahead = pl.col("vehicle_id") + 1
    last = pl.col("vehicle_id") == pl.col("vehicle_id").max()
    points = _as_points(
        rows,
        lane_id=pl.lit(lane, pl.Int32),
        preceding_id=pl.when(~last).then(ahead),
    )
    out = clean(points.lazy(), US_101).collect()
    assert out.select("vehicle_id", "frame").equals(points.select("vehicle_id", "frame"))
    assert (out["lane_id"] == lane).all() if lane else out["lane_id"].null_count() == out.height
    assert out.select(pl.col(pl.Float64).drop_nulls().is_finite().all()).row(0) == (True,) * len(
        out.select(pl.col(pl.Float64)).columns
    )
    assert out["y_position"].is_sorted() or rows["vehicle_id"].n_unique() > 1
    by = (out["y_position"] - points["y_position"]).abs()
    assert by.max() <= 1.0  # type: ignore[operator]
    summed = segments(out.lazy(), PARAMETERS).collect()
    assert summed["points"].sum() == rows.height
    assert set(MOVED_FROM) <= set(points.columns)
