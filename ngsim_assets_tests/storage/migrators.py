"""What the processes of the migration tests do; each has a lake of its own on one folder."""

from __future__ import annotations

from multiprocessing.synchronize import Event
from pathlib import Path

import polars as pl

from ngsim_assets.storage.migration import migrate
from ngsim_assets.storage.parquet import ParquetStorage
from ngsim_assets.storage.schema import Column
from ngsim_assets_tests.storage.evolved import changed
from ngsim_assets_tests.storage.tables import SAMPLES

PRELOADED = ["deltalake", "ngsim_assets_tests.storage.migrators"]
TALL = changed(thing=Column(pl.Int64()), feet=Column(pl.Decimal(12, 4), "ft"))
"""The samples in wider types, whose values all have their place in the narrower ones."""


def migrate_until_killed(root: Path, started: Event) -> None:
    """Widen the table and narrow it again, without end."""
    lake = ParquetStorage(root)
    while True:
        for table in (TALL, SAMPLES):
            migrate(lake, table)
            started.set()
