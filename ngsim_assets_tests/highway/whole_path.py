"""A file through intake and every table, as `ngsim ingest` does it, without Dagster.

Belongs here: running the stages, and what the lake then holds as values to compare. Does not
belong here: files (odd_files.py), what is expected of them.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import polars as pl

from ngsim_assets.highway import intake, model, reporting, stages
from ngsim_assets.highway.keys import PartitionKey
from ngsim_assets.settings import load_settings

TABLES = tuple(table for table in model.TABLES.values() if table.partition_by)
# where a row stood is of the file; everything else is of the recording
PLACE = ("source_file", "source_row")


def taken_in(data: Path, *files: Path) -> tuple[stages.Platform, list[PartitionKey]]:
    """A platform in `data` that was handed `files`, and the recordings in them."""
    platform = stages.open_platform(load_settings(data=data))
    keys = {
        key
        for file in files
        for result in intake.take_in(file, platform.landing)
        for key in result.keys
    }
    stages.store_unassigned(platform)
    return platform, sorted(keys)


def build(platform: stages.Platform, key: PartitionKey, **how: int) -> stages.Platform:
    """Every table of a recording, and its place in the corpus; `how`: workers, chunk_rows."""
    chosen = replace(platform, **how)
    stages.store_raw(chosen, key)
    stages.store_validated(chosen, key)
    stages.store_cleaned(chosen, key)
    stages.store_segments(chosen, key)
    stages.store_traffic_state(chosen, key)
    reporting.store_metrics(chosen, key)
    reporting.store_corpus_summary(chosen)
    return chosen


def table(platform: stages.Platform, name: str, key: PartitionKey) -> pl.DataFrame:
    """Rows of a recording in a table, ordered."""
    wanted = model.TABLES[name]
    found = platform.lake.scan(wanted, stages.identity(key)).collect()
    return found.sort(wanted.sort_by, maintain_order=True)


def values(platform: stages.Platform, key: PartitionKey) -> dict[str, pl.DataFrame]:
    """All tables of a recording but where rows stood in their file, fully ordered."""
    held: dict[str, pl.DataFrame] = {}
    for wanted in TABLES:
        found = table(platform, wanted.name, key).drop(PLACE, strict=False)
        ties = [name for name, dtype in found.schema.items() if not dtype.is_nested()]
        held[wanted.name] = found.sort([*_kept(wanted.sort_by), *ties], nulls_last=True)
    return held


def _kept(names: tuple[str, ...]) -> list[str]:
    return [name for name in names if name not in PLACE]
