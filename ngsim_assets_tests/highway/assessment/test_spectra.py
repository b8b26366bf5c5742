"""Spectra show a known wave where it is, and add up to the variance."""

from __future__ import annotations

import numpy as np
import pytest

from ngsim_assets.highway.assessment.spectra import mean_spectrum
from ngsim_assets_tests.highway.assessment.tracks import tracks_of

RNG = np.random.default_rng(3)


def test_a_wave_is_at_its_frequency_with_its_power() -> None:
    """1.25 Hz is 16 periods of a segment: exactly on one of its frequencies."""
    t = np.arange(600) / 10
    waves = np.concatenate([3 * np.sin(2 * np.pi * 1.25 * t + phase) for phase in range(4)])
    tracks, [values] = tracks_of([range(600)] * 4, values=waves + 20)
    frequencies, density = mean_spectrum(tracks, values)
    assert frequencies[density.argmax()] == pytest.approx(1.25)
    near = np.abs(frequencies - 1.25) < 0.2
    step = frequencies[1]
    assert density[near].sum() * step == pytest.approx(4.5, rel=1e-6)
    assert density[~near].max() < 1e-9


def test_noise_is_flat_and_adds_up_to_its_variance() -> None:
    tracks, [values] = tracks_of([range(5000)] * 20, values=RNG.normal(0, 2, 100_000))
    frequencies, density = mean_spectrum(tracks, values)
    assert frequencies[-1] == pytest.approx(5.0)
    assert density.sum() * frequencies[1] == pytest.approx(4.0, rel=0.05)
    assert np.allclose(density[2:-1], 4.0 / 5.0, rtol=0.2)


def test_segments_do_not_reach_over_gaps() -> None:
    """A jump where frames are missing, or a value, is no jump."""
    frame = [*range(128), *range(140, 140 + 128), *range(400, 400 + 129)]
    values = np.r_[np.zeros(128), np.full(128, 50.0), np.full(64, 9.0), np.nan, np.full(64, -9.0)]
    tracks, [read] = tracks_of([frame], values=values)
    _, density = mean_spectrum(tracks, read)
    assert density.max() == 0.0


@pytest.mark.parametrize("rows", [1, 127])
def test_too_short_for_a_segment_is_unknown(rows: int) -> None:
    tracks, [values] = tracks_of([range(rows)], values=np.ones(rows))
    frequencies, density = mean_spectrum(tracks, values)
    assert len(frequencies) == len(density) == 65
    assert np.isnan(density).all()


def test_nothing_is_unknown() -> None:
    tracks, [values] = tracks_of([], values=np.empty(0))
    assert np.isnan(mean_spectrum(tracks, values)[1]).all()


def test_another_rate_and_window() -> None:
    t = np.arange(400) / 25
    tracks, [values] = tracks_of([range(400)], values=np.sin(2 * np.pi * 5 * t))
    frequencies, density = mean_spectrum(tracks, values, seconds=0.04, window=4.0)
    assert frequencies[-1] == pytest.approx(12.5)
    assert frequencies[density.argmax()] == pytest.approx(5.0)


def test_order_of_vehicles_does_not_matter() -> None:
    frames, parts = (
        [range(300), range(700), range(150)],
        [RNG.normal(size=n) for n in (300, 700, 150)],
    )
    found = [
        mean_spectrum(*_with_one(frames[::way], parts[::way], numbers[::way]))[1]
        for numbers, way in (([1, 2, 3], 1), ([1, 2, 3], -1))
    ]
    assert np.array_equal(*found)


def _with_one(frames, parts, numbers):
    tracks, [values] = tracks_of(frames, numbers, values=np.concatenate(parts))
    return tracks, values


def test_many_segments_are_sampled_evenly() -> None:
    """20,000 segments, every other vehicle with another wave: both are in the mean alike."""
    t = np.arange(640) / 10
    waves = [2 * np.sin(2 * np.pi * hertz * t) for hertz in (0.625, 2.5)]
    vehicles = 2200
    tracks, [values] = tracks_of(
        [range(640)] * vehicles, values=np.tile(waves, (vehicles // 2, 1)).ravel()
    )
    frequencies, density = mean_spectrum(tracks, values)
    power = density * frequencies[1]
    assert power[np.abs(frequencies - 0.625) < 0.2].sum() == pytest.approx(1.0, rel=0.02)
    assert power[np.abs(frequencies - 2.5) < 0.2].sum() == pytest.approx(1.0, rel=0.02)
