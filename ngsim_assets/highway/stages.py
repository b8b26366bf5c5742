"""The stages from lake to lake: read a partition, apply the pure core, write a partition.

Belongs here: which table feeds which, chunk by chunk, and what is recorded with each write.
Does not belong here: any rule, formula or file format, and nothing of Dagster; assets, the
command line and the benchmarks all call these same functions.

Whole vehicles travel in chunks, so memory is bounded by the chunk and not by the recording:
`workers` of them at a time where they are narrow, one at a time ahead of the writer's threads where
they are wide. Only narrow columns of a whole partition are ever held: the context
that rules and headways need of other vehicles.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TypeVar

import polars as pl

from ngsim_assets.acquisition.landing import LandingZone
from ngsim_assets.errors import NgsimAssetsError
from ngsim_assets.highway import clean, intake, validate
from ngsim_assets.highway.keys import PartitionKey
from ngsim_assets.highway.model import (
    CLEANED_TRAJECTORIES,
    QUARANTINE,
    RAW_TRAJECTORIES,
    TRAFFIC_STATE,
    TRAJECTORY_SEGMENTS,
    VALIDATED_POINTS,
)
from ngsim_assets.highway.reconstruction.methods import method_named
from ngsim_assets.highway.reconstruction.segments import SUMMED
from ngsim_assets.highway.sites import SITES
from ngsim_assets.highway.traffic import traffic_state
from ngsim_assets.highway.validation.parameters import ValidationParameters
from ngsim_assets.settings import Settings
from ngsim_assets.storage.manifest import SourceFile
from ngsim_assets.storage.parquet import Commit, ParquetStorage, Provenance, WriteOptions
from ngsim_assets.storage.schema import Table
from ngsim_assets.storage.verify import is_sound

In = TypeVar("In")
Out = TypeVar("Out")

# Raised by hand when a stage's output changes for the same input: Dagster and the ingest
# command then know that stored partitions are of an older make.
CODE_VERSIONS: Mapping[str, str] = {
    "raw_trajectories": "2",
    "validated_points": "2",
    "quarantine": "2",
    "cleaned_trajectories": "5",
    "trajectory_segments": "6",
    "traffic_state": "3",
    "quality_report": "4",
    "corpus_summary": "2",
}


FLAGGED = "flagged:"
"""Prefix of the counts of flagged rows in the provenance of `validated_points`."""

MOVED_APART = "moved_apart"
OVERLAPPING = "overlapping"
"""Counts in the provenance of `cleaned_trajectories`, see `store_cleaned`."""


# s and m, the grid of the published FlowState figures for us-101; and the s between two points
# over which a vehicle is taken to have driven steadily.
TRAFFIC_GRID: Mapping[str, float] = {"duration": 30.0, "cell_length": 50.0, "gap": 2.0}


class NothingToBuildFrom(NgsimAssetsError):
    """A stage was asked for before the one it reads from has written anything."""

    def __init__(self, table: str, key: PartitionKey) -> None:
        super().__init__(
            f"{table} holds nothing for {key}",
            f"build it first: ngsim build '{key}'",
        )


@dataclass(frozen=True)
class Platform:
    """Where a stage reads and writes, and how much it may take.

    Attributes:
        lake: the tables. landing: what was delivered. reports: folder of report files.
        catalog: DuckDB file with a view per table.
        run_id: recorded with every write. workers: chunks at a time. chunk_rows: their size.
        validation, cleaning: parameters, recorded with every write that depends on them.
        others: tables of other domains in the same lake, which catalog and upkeep take too.
    """

    lake: ParquetStorage
    landing: LandingZone
    reports: Path
    catalog: Path
    run_id: str = "local"
    workers: int = 2
    chunk_rows: int = 250_000
    validation: ValidationParameters = field(default_factory=ValidationParameters)
    cleaning: clean.CleaningParameters = field(default_factory=clean.CleaningParameters)
    others: tuple[Table, ...] = ()


def open_platform(
    settings: Settings, run_id: str = "local", others: Iterable[Table] = ()
) -> Platform:
    """The platform that `settings` describe; `run_id` is recorded with every write.

    Args:
        others: see `Platform`.

    Raises:
        UnknownMethod: if no cleaning method goes by the name in `settings`.
    """
    options = WriteOptions(
        compression=settings.compression,
        level=settings.compression_level,
        row_group_rows=settings.row_group_rows,
    )
    return Platform(
        lake=ParquetStorage(settings.lake, options),
        landing=LandingZone(settings.landing),
        reports=settings.reports,
        catalog=settings.catalog,
        run_id=run_id,
        workers=settings.workers,
        chunk_rows=settings.chunk_rows,
        validation=ValidationParameters(long_gap=settings.gap_limit),
        cleaning=clean.CleaningParameters(
            gap_limit=settings.gap_limit, method=method_named(settings.cleaning_method)
        ),
        others=tuple(others),
    )


def store_raw(platform: Platform, key: PartitionKey) -> Commit:
    """Every delivered row of a partition, in the units of the files, as `raw_trajectories`."""
    with intake.delivered_partition(platform.landing, key) as delivered:
        return platform.lake.replace(
            RAW_TRAJECTORIES,
            identity(key),
            delivered.rows(platform.chunk_rows),
            Provenance(
                run_id=platform.run_id,
                code_version=CODE_VERSIONS[RAW_TRAJECTORIES.name],
                sources=(delivered.content,),
                files=delivered.files,
            ),
        )


def store_validated(platform: Platform, key: PartitionKey) -> tuple[Commit, Commit]:
    """Judge every raw row of a partition: `validated_points` and `quarantine`, in that order.

    The two together hold each raw row once; the checks compare their counts on every run. Rows
    per flag are recorded with `validated_points`, as `flagged:<rule>`.
    """
    site = SITES[key.highway_id]
    raw = built(platform, RAW_TRAJECTORIES, key)
    files = read_from(platform, raw, key)
    counts = {RAW_TRAJECTORIES.name: raw.rows}
    refused: list[pl.DataFrame] = []

    def delivered(columns: Sequence[str]) -> Iterator[pl.DataFrame]:
        return platform.lake.frames(RAW_TRAJECTORIES, identity(key), columns, physical=True)

    def neighbours(rows: pl.DataFrame) -> pl.DataFrame:
        return validate.neighbours_among(rows, site, parameters=platform.validation)

    context = in_parallel(neighbours, delivered(validate.NEIGHBOURLY), platform.workers)
    judge = validate.Judge(
        site,
        parameters=platform.validation,
        neighbours=pl.concat([pl.DataFrame(schema=validate.NEIGHBOURS), *context]),
        t0=intake.agreed_t0(files),
        deliveries=[file.name for file in files],
    )

    def judged(rows: pl.DataFrame) -> validate.SortedOut:
        # said once and not per row, as every row of the partition has the same
        return judge.sort_out(
            rows.with_columns(pl.lit(v).alias(n) for n, v in identity(key).items())
        )

    def passed() -> Iterator[pl.DataFrame]:
        columns = [name for name in RAW_TRAJECTORIES.columns if name not in identity(key)]
        # One chunk at a time: it is judged in less time than the writer, which has threads of
        # its own, needs for one, and any more would only wait in memory for it.
        for good, bad, flags in map(judged, delivered(columns)):
            if bad.height:
                refused.append(bad)
            for rule, rows in flags.items():
                counts[FLAGGED + rule] = counts.get(FLAGGED + rule, 0) + rows
            yield good

    parameters = asdict(platform.validation)
    # `counts` is complete when the last chunk has passed, which is before the commit is made
    valid = platform.lake.replace(
        VALIDATED_POINTS,
        identity(key),
        passed(),
        provenance(platform, VALIDATED_POINTS.name, parameters, raw, counts),
    )
    quarantined = platform.lake.replace(
        QUARANTINE,
        {**identity(key), "stage": "validated"},
        [pl.concat(refused).sort(QUARANTINE.sort_by)] if refused else [],
        provenance(platform, QUARANTINE.name, parameters, raw),
    )
    return valid, quarantined


def store_cleaned(platform: Platform, key: PartitionKey) -> Commit:
    """Reconstruct every trajectory of a partition as `cleaned_trajectories`.

    Recorded with it are the points moved off a leader, as `moved_apart`, and those that overlap
    theirs still, as `overlapping`.
    """
    site = SITES[key.highway_id]
    validated = built(platform, VALIDATED_POINTS, key)

    def chunks(columns: Sequence[str]) -> Iterator[pl.DataFrame]:
        return platform.lake.frames(VALIDATED_POINTS, identity(key), columns=columns)

    def moved(points: pl.DataFrame) -> pl.DataFrame:
        return clean.move(points, site, platform.cleaning, threads=1)

    # gaps and headways need the whole recording's positions before the first row can be written
    apart = clean.take_apart(
        list(in_parallel(moved, chunks(clean.MOVED_FROM), platform.workers)),
        site,
        platform.cleaning,
    )
    motions = deque(apart.parts)
    apart.parts.clear()
    leaders = clean.Leaders.of(motions)

    def completed(points: pl.DataFrame) -> pl.DataFrame:
        return clean.complete_chunk(motions.popleft(), points, leaders, site)

    # one at a time, since those before are being written meanwhile, and that takes longer
    columns = [name for name in clean.COMPLETED_FROM if name not in identity(key)]
    counts = {
        VALIDATED_POINTS.name: validated.rows,
        MOVED_APART: apart.moved,
        OVERLAPPING: apart.left,
    }
    return platform.lake.replace(
        CLEANED_TRAJECTORIES,
        identity(key),
        map(completed, chunks(columns)),
        provenance(
            platform,
            CLEANED_TRAJECTORIES.name,
            clean.record(site, platform.cleaning),
            validated,
            counts,
        ),
    )


def store_segments(platform: Platform, key: PartitionKey) -> Commit:
    """Sum up every trajectory of a partition as `trajectory_segments`."""
    cleaned = built(platform, CLEANED_TRAJECTORIES, key)
    validated = built(platform, VALIDATED_POINTS, key)
    columns = [name for name in SUMMED if name not in identity(key)]
    frames = platform.lake.frames(CLEANED_TRAJECTORIES, identity(key), columns)
    said = platform.lake.scan(VALIDATED_POINTS, identity(key)).select("vehicle_id", "total_frames")
    totals = said.group_by("vehicle_id").agg(pl.col("total_frames").max()).collect().lazy()

    def summed(points: pl.DataFrame) -> pl.DataFrame:
        return clean.segments(points.lazy(), platform.cleaning, totals).collect()

    return platform.lake.replace(
        TRAJECTORY_SEGMENTS,
        identity(key),
        in_parallel(summed, frames, platform.workers),
        provenance(
            platform,
            "trajectory_segments",
            asdict(platform.cleaning),
            cleaned,
            also=[validated],
        ),
    )


def store_traffic_state(platform: Platform, key: PartitionKey) -> Commit:
    """Edie's flow, density and speed of a partition as `traffic_state`."""
    cleaned = built(platform, CLEANED_TRAJECTORIES, key)
    points = platform.lake.scan(CLEANED_TRAJECTORIES, identity(key))
    state = traffic_state(points, **TRAFFIC_GRID).collect()
    return platform.lake.replace(
        TRAFFIC_STATE,
        identity(key),
        [state],
        provenance(platform, "traffic_state", TRAFFIC_GRID, cleaned),
    )


def store_unassigned(platform: Platform) -> None:
    """Rows that belong to no recording, as quarantine of stage `intake`, a partition per file.

    No recording's run would ever see them. Partitions of files that are no longer delivered,
    or were replaced, are emptied.
    """
    held: list[dict[str, str]] = []
    for file in platform.landing.files():
        if file.unassigned is None:
            continue
        partition = {**intake.unassigned_partition(file), "stage": "intake"}
        held.append(partition)
        stored = platform.lake.current(QUARANTINE, partition)
        if stored is not None and _is_of(platform, stored, file.sha256):
            continue  # a lake of thousands of files must not be rewritten for each new one
        platform.lake.replace(
            QUARANTINE,
            partition,
            intake.unassigned_rows(platform.landing, file),
            Provenance(
                run_id=platform.run_id,
                code_version=CODE_VERSIONS["quarantine"],
                sources=(file.sha256,),
                rows={"read": file.rows},
                files=(intake.source_file(file, file.unassigned),),
            ),
        )
    for partition in platform.lake.partitions(QUARANTINE):
        if partition["stage"] == "intake" and partition not in held:
            platform.lake.replace(QUARANTINE, partition, [])


def _is_of(platform: Platform, stored: Commit, sha256: str) -> bool:
    """Whether `stored` are the rows of the delivered bytes with this hash, by today's code."""
    told = stored.provenance
    return (
        stored.operation == "replace"
        and told.sources == (sha256,)
        and told.code_version == CODE_VERSIONS["quarantine"]
        and is_sound(platform.lake.root / QUARANTINE.name, stored.files)
    )


def identity(key: PartitionKey) -> dict[str, str]:
    """The partition columns that name a recording in every table."""
    return {"highway_id": key.highway_id, "recording": key.recording}


def in_parallel(function: Callable[[In], Out], items: Iterable[In], workers: int) -> Iterator[Out]:
    """`map(function, items)` on `workers` threads: in order, never more than that in flight.

    The heavy parts (Polars, Arrow, compiled kernels) release the interpreter lock.
    """
    with ThreadPoolExecutor(workers) as pool:
        running: deque[Future[Out]] = deque()
        try:
            for item in items:
                running.append(pool.submit(function, item))
                if len(running) >= workers:
                    yield running.popleft().result()
            while running:
                yield running.popleft().result()
        finally:
            for future in running:
                future.cancel()


def built(platform: Platform, table: Table, key: PartitionKey) -> Commit:
    """What is live of a recording in `table`; NothingToBuildFrom if nothing is."""
    commit = platform.lake.current(table, identity(key))
    if commit is None:
        raise NothingToBuildFrom(table.name, key)
    return commit


def read_from(platform: Platform, raw: Commit, key: PartitionKey) -> tuple[SourceFile, ...]:
    """Files that raw rows were read from; of rows stored before that was recorded, those of now."""
    now = platform.landing.deliveries(str(key))
    return raw.provenance.files or tuple(
        intake.source_file(delivery.file, delivery.share) for delivery in now
    )


def provenance(
    platform: Platform,
    stage: str,
    parameters: Mapping[str, object],
    source: Commit,
    rows: Mapping[str, int] | None = None,
    also: Sequence[Commit] = (),
) -> Provenance:
    """What is recorded with a write: by which run and code, with what, from which files.

    `also` are the tables read beside `source`, in the order of `data_versions.BUILT_FROM`.
    """
    return Provenance(
        run_id=platform.run_id,
        code_version=CODE_VERSIONS[stage],
        parameters=parameters,
        sources=(*source.content, *(hash_ for beside in also for hash_ in beside.content)),
        rows={source.table: source.rows} if rows is None else rows,
    )
