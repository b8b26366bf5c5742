"""Small recordings to hand over, and what the landing zone makes of them."""

from __future__ import annotations

import numpy as np
import polars as pl

from ngsim_assets.acquisition.landing import LandingZone
from ngsim_assets.highway.formats import RAW_PHYSICAL
from ngsim_assets.highway.intake import delivered_rows
from ngsim_assets.highway.keys import PartitionKey
from ngsim_assets.highway.sites import I_80, US_101, Site

EARLY, LATER = (PartitionKey("us-101", official.key) for official in US_101.recordings[:2])
WEST = PartitionKey("i-80", I_80.recordings[0].key)


def rows(
    site: Site = US_101,
    recording: int = 0,
    *,
    t0: int | None = None,
    vehicles: int = 3,
    frames: int = 40,
    seed: int = 0,
) -> pl.DataFrame:
    """Raw rows of a few vehicles, sorted; values mean nothing but are all different."""
    random = np.random.default_rng([seed, recording, len(site.highway_id)])
    origin = sum(site.recordings[recording].t0) // 2 if t0 is None else t0
    count = vehicles * frames
    frame = np.tile(np.arange(10, 10 + frames), vehicles)
    arterial = {"o_zone", "d_zone", "int_id", "section_id", "direction", "movement"}
    known = {
        "vehicle_id": np.repeat(np.arange(1, vehicles + 1), frames),
        "frame_id": frame,
        "global_time": origin + 100 * frame,
    }
    return pl.DataFrame(
        [
            pl.Series(name, known.get(name, random.integers(0, 90_000, count)), strict=False).cast(
                dtype
            )
            if name != "location" and (name not in arterial or site.arterial)
            else pl.repeat(
                site.highway_id if name == "location" else None, count, dtype=dtype, eager=True
            ).alias(name)
            for name, dtype in RAW_PHYSICAL.items()
        ]
    )


def delivered(zone: LandingZone, key: PartitionKey, chunk_rows: int = 250_000) -> pl.DataFrame:
    return pl.concat(list(delivered_rows(zone, key, chunk_rows=chunk_rows)), how="vertical_relaxed")


def values(frame: pl.DataFrame) -> pl.DataFrame:
    """What was delivered, without where it stood."""
    return frame.select(list(RAW_PHYSICAL)).sort(pl.all())
