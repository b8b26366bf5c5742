"""Filters by themselves and joined in other orders than cleaning's, on LazyFrames."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ngsim_assets.highway.reconstruction.filters import (
    DERIVED,
    STATE,
    Dedupe,
    Filter,
    Impute,
    Outliers,
    Pipeline,
    Smooth,
)
from ngsim_assets.highway.reconstruction.methods import METHODS, method_named
from ngsim_assets_tests.highway import driven

seeds = st.integers(0, 2**31)
labels = st.sampled_from(list(METHODS))


def _rows(seed: int, *, repeated: bool = False) -> pl.DataFrame:
    """Some vehicles in no order, with gaps, spikes, missing positions and other columns."""
    random = np.random.default_rng(seed)
    parts: list[pl.DataFrame] = []
    for vehicle in range(1, int(random.integers(2, 5))):
        n = int(random.integers(1, 90))
        y = driven.stop_and_go(n, seed % 1000 + vehicle) + 0.1 * random.standard_normal(n)
        y[random.random(n) < 0.02] += 20.0
        part = driven.narrow(vehicle, y, first=int(random.integers(0, 50)))
        kept = random.random(n) > random.choice([0.0, 0.05, 0.4])
        parts.append(part.filter(pl.Series(kept)))
    rows = pl.concat(parts)
    if repeated:
        rows = pl.concat([rows, rows.head(5).with_columns(pl.col("y_position") + 0.25)])
    hidden = pl.Series(random.random(rows.height) < random.choice([0.0, 0.05]))
    return (
        rows.with_columns(
            pl.when(hidden).then(None).otherwise(pl.col("y_position")).alias("y_position"),
            lane_id=pl.col("vehicle_id") % 3,
            source_file=pl.lit("a.txt"),
        )
        .sample(fraction=1.0, shuffle=True, seed=seed)
        .lazy()
        .collect()
    )


def _filters(label: str) -> list[Filter]:
    return [Outliers(), Impute(), Smooth(method_named(label))]


def _applied(step: Filter, rows: pl.DataFrame) -> pl.DataFrame:
    """The result on a LazyFrame, which has to be what its schema says and what `apply` gives."""
    made = step(rows.lazy())
    out = made.collect()
    assert dict(made.collect_schema()) == dict(out.schema)
    assert out.equals(step.apply(rows))
    return out


@settings(max_examples=40, deadline=None)
@given(seeds, labels, st.sampled_from(list(permutations(range(3)))), st.integers(1, 3))
# of three frames that belong together the last one alone has a position
@example(seed=6865, label="robust_whittaker", order=(2, 0, 1), steps=1)
def test_filters_join_in_any_order(
    seed: int, label: str, order: tuple[int, ...], steps: int
) -> None:
    """Of unique keys: no point is lost or twice, nothing delivered changes, states are told."""
    rows = _rows(seed)
    chosen = [_filters(label)[i] for i in order[:steps]]
    out = _applied(Pipeline(tuple(chosen)), rows)
    keys = ["vehicle_id", "frame"]
    assert out.select(keys).is_unique().all()
    assert out.select(keys).equals(out.select(keys).sort(keys))
    assert out.schema["state"] == STATE

    delivered = out.join(rows, on=keys, suffix="_delivered", maintain_order="left")
    assert delivered.height == rows.height
    for name in ("lane_id", "source_file"):
        assert delivered[name].equals(delivered[f"{name}_delivered"], check_names=False)
    for axis in ("x", "y"):
        assert delivered[f"{axis}_raw"].equals(
            delivered[f"{axis}_position_delivered"], check_names=False
        )
    added = out.join(rows, on=keys, how="anti")
    assert (added["state"] == "imputed").all()
    assert added.select(pl.col("y_raw", "lane_id").null_count()).row(0) == (added.height,) * 2
    if not any(isinstance(step, Impute) for step in chosen):
        assert added.is_empty()
    smoothed = any(isinstance(step, Smooth) for step in chosen)
    assert smoothed == (set(DERIVED) <= set(out.columns))


@settings(max_examples=20, deadline=None)
@given(seeds, labels)
def test_repeated_keys_are_one_point_after_dedupe_wherever_it_stands(seed: int, label: str) -> None:
    rows = _rows(seed, repeated=True)
    first = _applied(Dedupe(), rows)
    assert first.select("vehicle_id", "frame").is_unique().all()
    assert _applied(Dedupe(), first).equals(first)
    whole = Dedupe() | Outliers() | Impute() | Smooth(method_named(label))
    assert _applied(whole, rows).equals(_applied(Pipeline(whole.steps[1:]), first))
    again = _applied(whole | Dedupe(), rows)
    assert again.equals(_applied(whole, rows))


@settings(max_examples=20, deadline=None)
@given(seeds)
def test_filling_gaps_twice_is_filling_them_once(seed: int) -> None:
    once = _applied(Impute(), _rows(seed))
    assert _applied(Impute(), once).equals(once)


@pytest.mark.parametrize("label", list(METHODS))
def test_smoothing_again_takes_what_was_smooth(label: str) -> None:
    """Motion is made anew, positions as they came stay those that came first."""
    rows = _rows(11)
    step = Impute() | Smooth(method_named(label))
    once, twice = _applied(step, rows), _applied(step | step, rows)
    assert twice.columns == once.columns
    for name in ("x_raw", "y_raw", "lane_id"):
        assert twice[name].equals(once[name])


@pytest.mark.parametrize("label", list(METHODS))
@pytest.mark.parametrize("drop", ["nothing", "others", "rows"])
def test_smoothing_needs_four_columns_and_no_rows(label: str, drop: str) -> None:
    rows = _rows(5).drop_nulls()
    if drop == "others":
        rows = rows.select("vehicle_id", "frame", "x_position", "y_position")
    if drop == "rows":
        rows = rows.clear()
    out = _applied(Smooth(method_named(label)), rows)
    assert out.height == rows.height
    assert set(DERIVED) <= set(out.columns)


def test_nothing_is_computed_before_it_is_asked_for() -> None:
    """A filter of a LazyFrame is a plan: what cannot be read is noticed when collected."""
    broken = pl.LazyFrame(
        {"vehicle_id": [1], "frame": [1], "x_position": ["?"], "y_position": [1.0]}
    ).with_columns(pl.col("x_position").cast(pl.Float64))
    plan = (Dedupe() | Outliers() | Impute() | Smooth())(broken)
    assert "jerk" in plan.collect_schema()
    with pytest.raises(pl.exceptions.InvalidOperationError):
        plan.collect()


def test_lazy_steps_go_on_from_filters() -> None:
    rows = _rows(3)
    fast = (Dedupe() | Smooth())(rows.lazy()).filter(pl.col("speed") > 1.0).select("speed")
    assert fast.collect()["speed"].min() > 1.0  # type: ignore[operator]


@pytest.mark.parametrize("dtype", [pl.Int64, pl.UInt16])
def test_keys_may_be_any_integers(dtype: type[pl.DataType]) -> None:
    rows = _rows(9)
    wide = rows.with_columns(pl.col("vehicle_id", "frame").cast(dtype))
    step = Dedupe() | Outliers() | Impute() | Smooth()
    out = step.apply(wide)
    np.testing.assert_array_equal(
        out["y_position"].to_numpy(), step.apply(rows)["y_position"].to_numpy()
    )
