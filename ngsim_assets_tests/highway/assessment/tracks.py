"""Tracks made of lists, for kernels whose answers are worked out by hand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl

from ngsim_assets.highway.assessment.track_measures import Tracks


def tracks_of(
    frame: Sequence[Sequence[int]], vehicles: Sequence[int] | None = None, **columns: Sequence[Any]
) -> tuple[Tracks, list[Any]]:
    """Vehicles (1, 2, ...) with these frames, and their columns (one list over all vehicles)."""
    numbers = range(1, len(frame) + 1) if vehicles is None else vehicles
    rows = {
        "vehicle_id": np.repeat(np.array(numbers, np.int32), [len(own) for own in frame]),
        "frame": [number for own in frame for number in own],
    }
    table = pl.DataFrame({**rows, **columns}, strict=False)
    tracks = Tracks.of(table.lazy(), {name: pl.col(name) for name in columns})
    return tracks, tracks.read(*columns)
