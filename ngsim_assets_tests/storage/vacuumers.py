"""What the processes of the retention tests do; each has a lake of its own on one folder."""

from __future__ import annotations

import random
from multiprocessing.synchronize import Event
from pathlib import Path

from ngsim_assets.storage.errors import ConflictingWrite, UnknownVersion
from ngsim_assets.storage.parquet import ParquetStorage
from ngsim_assets.storage.versions import DataVersionManager
from ngsim_assets_tests.storage.tables import HERE, SAMPLES, samples

PRELOADED = ["deltalake", "ngsim_assets_tests.storage.vacuumers"]


def vacuum_until_killed(root: Path, started: Event) -> None:
    """Vacuum as strictly as can be, without end."""
    versions = DataVersionManager(ParquetStorage(root))
    while True:
        versions.vacuum(SAMPLES, keep_days=0, keep_versions=2)
        started.set()


def write_and_go_back(root: Path, seed: int, turns: int, answers: Path) -> None:
    """Replace a partition, or go back to any of its versions, in turn; note what went well."""
    lake = ParquetStorage(root)
    chance = random.Random(seed)  # noqa: S311
    done = {"written": 0, "restored": 0, "refused": 0}
    for turn in range(turns):
        try:
            if chance.random() < 0.5:
                lake.replace(SAMPLES, HERE, [samples(3, shift=1000 * seed + turn)])
                done["written"] += 1
            else:
                back = chance.randint(1, 4)
                lake.restore(SAMPLES, HERE, max(1, lake.history(SAMPLES)[0].version - back))
                done["restored"] += 1
        except (ConflictingWrite, UnknownVersion):
            done["refused"] += 1
        if lake.scan(SAMPLES, HERE).collect().height != 12:
            raise AssertionError(f"rows were lost at turn {turn}")
    (answers / str(seed)).write_text(" ".join(map(str, done.values())))
