"""Errors are remembered for as long as they were made to be."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ngsim_assets.highway.assessment.autocorrelation import autocorrelation, decorrelation_time
from ngsim_assets_tests.highway.assessment.tracks import tracks_of
from ngsim_assets_tests.highway.driven import drifting


def test_an_error_forgotten_within_a_second() -> None:
    values = np.concatenate([drifting(2000, seed, 0.1, 1.0) for seed in range(40)])
    tracks, [read] = tracks_of([range(2000)] * 40, values=values)
    lags, found = autocorrelation(tracks, read)
    assert lags[:2].tolist() == [0.0, 0.1]
    assert lags[-1] == pytest.approx(5.0)
    assert np.allclose(found, np.exp(-lags), atol=0.05)
    assert decorrelation_time(lags, found) == pytest.approx(1.0, abs=0.2)


def test_noise_is_forgotten_at_once() -> None:
    tracks, [read] = tracks_of([range(9000)], values=np.random.default_rng(1).normal(size=9000))
    lags, found = autocorrelation(tracks, read)
    assert np.abs(found[1:]).max() < 0.06
    assert decorrelation_time(lags, found) == pytest.approx(0.1)


@settings(max_examples=80, deadline=None)
@given(
    st.lists(
        st.lists(
            st.tuples(
                st.sampled_from([1, 1, 1, 2]),
                st.one_of(st.integers(-9, 9).map(float), st.just(math.nan)),
            ),
            max_size=20,
        ),
        min_size=1,
        max_size=4,
    )
)
def test_pairs_by_definition(vehicles: list[list[tuple[int, float]]]) -> None:
    vehicles = [own for own in vehicles if own]
    frames = [np.cumsum([step for step, _ in own]).tolist() for own in vehicles]
    tracks, [read] = tracks_of(frames, values=[value for own in vehicles for _, value in own])
    _, found = autocorrelation(tracks, read, longest=0.4)

    known = [value for own in vehicles for _, value in own if not math.isnan(value)]
    mean = sum(known) / max(1, len(known))
    for lag, coefficient in enumerate(found):
        pairs = [
            (own[i][1] - mean, own[i + lag][1] - mean)
            for own, frame in zip(vehicles, frames, strict=True)
            for i in range(len(own) - lag)
            if frame[i + lag] - frame[i] == lag
        ]
        pairs = [pair for pair in pairs if not math.isnan(sum(pair))]
        scale = math.sqrt(sum(a * a for a, _ in pairs) * sum(b * b for _, b in pairs))
        if scale > 1e-9:
            assert coefficient == pytest.approx(sum(a * b for a, b in pairs) / scale)
        else:
            assert math.isnan(coefficient)


@pytest.mark.parametrize("values", [[], [0.3], [0.1] * 700, [math.nan] * 9])
def test_what_does_not_vary_has_no_correlation(values: list[float]) -> None:
    tracks, [read] = tracks_of([range(len(values))] if values else [], values=np.array(values))
    lags, found = autocorrelation(tracks, read)
    assert np.isnan(found).all()
    assert decorrelation_time(lags, found) is None
