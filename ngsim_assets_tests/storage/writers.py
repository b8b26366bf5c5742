"""What the processes of the concurrency tests do; each has a lake of its own on one folder."""

from __future__ import annotations

from collections.abc import Iterator
from multiprocessing.synchronize import Barrier, Event
from pathlib import Path

import polars as pl

from ngsim_assets.storage.errors import ConflictingWrite
from ngsim_assets.storage.parquet import ParquetStorage, WriteOptions
from ngsim_assets_tests.storage.tables import HERE, SAMPLES, samples

PRELOADED = ["deltalake", "ngsim_assets_tests.storage.writers"]
OPTIONS = WriteOptions(file_rows=100)
THINGS = 12
STEPS = 50


def write_own_partition(root: Path, session: str, writes: int, start: Barrier) -> None:
    """Replace one partition several times, while others replace theirs."""
    lake = ParquetStorage(root, OPTIONS)
    start.wait()
    for shift in range(writes):
        rows = samples(THINGS, STEPS, shift=shift, session=session)
        commit = lake.replace(SAMPLES, {**HERE, "session": session}, rows.iter_slices(100))
        if not commit.changed:
            raise AssertionError(f"{session}: write {shift} was lost")


def write_same_partition(root: Path, shift: int, start: Barrier, answers: Path) -> None:
    """Replace the partition that others replace too, once all have begun; note how it went."""
    lake = ParquetStorage(root, OPTIONS)

    def chunks() -> Iterator[pl.DataFrame]:
        yield samples(THINGS, STEPS, shift=shift)
        start.wait()  # everybody has read the same state before anybody commits

    try:
        answer = f"version {lake.replace(SAMPLES, HERE, chunks()).version}"
    except ConflictingWrite as error:
        answer = f"conflict {error.version}"
    (answers / str(shift)).write_text(answer)


def write_until_killed(root: Path, first_shift: int, started: Event) -> None:
    """Replace the partition by other rows without end."""
    lake = ParquetStorage(root, OPTIONS)
    shift = first_shift
    while True:
        shift += 1
        rows = samples(THINGS, STEPS, shift=shift)
        lake.replace(SAMPLES, HERE, rows.iter_slices(100))
        started.set()
