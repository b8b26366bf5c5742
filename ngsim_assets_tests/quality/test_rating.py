"""The score adds up, never rewards a worse value, and is silent where nothing was measured."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from ngsim_assets.quality.rating import LEAST_MEASURED, Criterion, Rating, rate

marks = st.floats(min_value=0.001, max_value=1000.0)
weights = st.floats(min_value=0.01, max_value=100.0)
readings = st.floats(min_value=-2000.0, max_value=2000.0)


@st.composite
def criteria(draw: st.DrawFn) -> list[Criterion]:
    """Some criteria of every kind: lower or higher is better, linear or logarithmic, absolute."""
    made: list[Criterion] = []
    for place in range(draw(st.integers(1, 7))):
        full = draw(marks)
        none = draw(marks.filter(lambda value, full=full: abs(value - full) > 1e-3))
        made.append(
            Criterion(
                metric=f"m{place}",
                weight=draw(weights),
                full=full,
                none=none,
                scale=draw(st.sampled_from(["linear", "logarithmic"])),
                absolute=draw(st.booleans()),
                why="w",
                source="s",
            )
        )
    return made


@st.composite
def measured(draw: st.DrawFn) -> tuple[list[Criterion], dict[str, float | None]]:
    given_criteria = draw(criteria())
    values = {c.metric: draw(st.none() | readings) for c in given_criteria}
    return given_criteria, values


def _rated(listed: list[Criterion], values: dict[str, float | None]) -> Rating:
    return rate(listed, values, "stage")


@given(measured())
def test_parts_add_up_to_the_score_as_shown(
    case: tuple[list[Criterion], dict[str, float | None]],
) -> None:
    rating = _rated(*case)
    if rating.score is None:
        assert rating.measured < LEAST_MEASURED
        assert all(part.points is None for part in rating.parts)
        return
    shown = [(part.points, part.possible) for part in rating.parts if part.points is not None]
    assert math.isclose(sum(points for points, _ in shown), rating.score, abs_tol=1e-6)
    assert math.isclose(sum(most or 0 for _, most in shown), 100.0, abs_tol=1e-6)
    assert all(0 <= points <= (most or 0) for points, most in shown)
    assert 0 <= rating.score <= 100


@given(measured(), st.data())
def test_a_better_value_never_lowers_the_score(
    case: tuple[list[Criterion], dict[str, float | None]], data: st.DataObject
) -> None:
    listed, values = case
    seen = [c for c in listed if values[c.metric] is not None]
    if not seen:
        return
    chosen = data.draw(st.sampled_from(seen))
    value = values[chosen.metric]
    assert value is not None
    size = abs(value) if chosen.absolute else value
    step = data.draw(st.floats(min_value=0.0, max_value=2000.0))
    better = size + step if chosen.full > chosen.none else size - step
    if chosen.absolute:
        better = max(0.0, better)
    before = _rated(listed, values).score
    after = _rated(listed, values | {chosen.metric: better}).score
    assert (before is None) == (after is None)
    assert before is None or (after is not None and after >= before)


@given(measured())
def test_shares_reach_from_one_mark_to_the_other(
    case: tuple[list[Criterion], dict[str, float | None]],
) -> None:
    listed, values = case
    for criterion in listed:
        value = values[criterion.metric]
        if value is not None:
            assert 0.0 <= criterion.share(value) <= 1.0
        assert criterion.share(criterion.full) == pytest.approx(1.0)
        assert criterion.share(criterion.none) == pytest.approx(0.0, abs=1e-12)


def _criterion(metric: str = "m", weight: float = 1.0, **changes: object) -> Criterion:
    marks = {"full": 0.0, "none": 10.0, "why": "w", "source": "s"}
    return Criterion.model_validate({"metric": metric, "weight": weight, **marks, **changes})


def test_nothing_measured_is_no_score() -> None:
    for values in ({}, {"m": None}, {"m": math.nan}):
        rating = rate([_criterion()], values, "stage")
        assert rating.score is None
        assert rating.left_out == rating.parts
        assert "No score" in rating.text
    assert rate([], {}, "stage").score is None


def test_less_than_two_thirds_of_the_weight_is_no_score() -> None:
    listed = [_criterion("a", 1.0), _criterion("b", 2.0)]
    assert rate(listed, {"a": 0.0}, "stage").score is None
    assert rate(listed, {"b": 0.0}, "stage").score == 100.0
    halves = [_criterion("a"), _criterion("b")]
    assert rate(halves, {"a": 0.0}, "stage").score is None


def test_what_is_left_out_is_said_and_stood_for_by_the_others() -> None:
    listed = [_criterion("a", 4.0), _criterion("b", 4.0), _criterion("c", 2.0)]
    rating = rate(listed, {"a": 0.0, "b": 5.0}, "stage")
    assert [part.possible for part in rating.parts] == [50.0, 50.0, None]
    assert rating.score == 75.0
    assert rating.text == "a 50.0 of 50.0, b 25.0 of 50.0. Without a value and left out: c."


def test_almost_full_does_not_look_full() -> None:
    rating = rate([_criterion()], {"m": 0.0001}, "stage")
    assert rating.score == 99.9


def test_only_the_size_of_a_change_counts_where_said() -> None:
    absolute = _criterion(absolute=True)
    assert absolute.share(-10.0) == absolute.share(10.0) == 0.0
    assert _criterion().share(-10.0) == 1.0


def test_orders_of_magnitude_are_told_apart_by_the_logarithm() -> None:
    decades = _criterion(full=0.01, none=100.0, scale="logarithmic")
    assert decades.share(1.0) == pytest.approx(0.5)
    assert decades.share(0.0) == 1.0
    rising = _criterion(full=100.0, none=0.01, scale="logarithmic")
    assert rising.share(0.0) == 0.0


@pytest.mark.parametrize(
    "changes",
    [{"none": 0.0}, {"scale": "logarithmic"}, {"weight": 0.0}, {"colour": "red"}],
)
def test_impossible_criteria_are_refused(changes: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        _criterion(**changes)
