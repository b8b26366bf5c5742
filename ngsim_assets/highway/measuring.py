"""What the work on the highway means for the metrics: which stage counts what, under which labels.

Belongs here: counting at intake, in stages and at upkeep, and what is found out when somebody
asks. Does not belong here: which metrics there are, how they are kept (observability).

Nothing in here fails what it measures: what cannot be counted is told as a warning.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

import polars as pl

from ngsim_assets.acquisition.landing import absolute
from ngsim_assets.highway import model
from ngsim_assets.highway.arrival.intake_results import Intake, Rejected
from ngsim_assets.highway.data_versions import BUILT_FROM, table_of
from ngsim_assets.highway.health_gauges import gauges
from ngsim_assets.highway.keys import PartitionKey
from ngsim_assets.highway.official.handing_over import FOLDER as HANDED_OVER
from ngsim_assets.highway.stages import Platform, identity
from ngsim_assets.observability import folding, ingestors, logs, metrics
from ngsim_assets.observability.health import SEVERITY, Health
from ngsim_assets.observability.keeping import kept
from ngsim_assets.observability.metrics import ALL, UNKNOWN, IngestionMetrics
from ngsim_assets.quality.report import DataQualityReport
from ngsim_assets.settings import Settings
from ngsim_assets.storage.parquet import Commit

INCOMING, DOWNLOADS, COMMAND_LINE = "incoming", "downloads", "command line"
"""Ways that files come by, as label `source`."""

SEVERAL = "several"
"""Source of a recording whose files came by more than one way."""

INTAKE, UPKEEP = "intake", "upkeep"
"""Stages beside those of the asset graph, as label `stage`."""

_DIVIDED = re.compile(r"highway_id=([^/]+)")
"""Folders of the lake say which highway they are of."""

_ASSETS = {table_of(asset).name: asset for asset in BUILT_FROM}
"""What the asset graph calls the stage that writes a table."""

_KEPT_IN = ("landing", "lake", "downloads", "reports", "rejected")

_log = logs.get_logger(logger="metrics")

Result = TypeVar("Result")


def source_of(settings: Settings, path: Path | str) -> str:
    """By which way the file at `path` came."""
    there, root = Path(absolute(Path(path))), Path(absolute(settings.incoming_folder))
    if not there.is_relative_to(root):
        return COMMAND_LINE
    return DOWNLOADS if there.is_relative_to(root / HANDED_OVER) else INCOMING


# taking in -----------------------------------------------------------------------------------


@contextmanager
def taking_in(
    settings: Settings, source: str
) -> Iterator[Callable[[Iterable[Result]], Iterator[Result]]]:
    """Measure files that are taken in: wrap what gives their results.

    Args:
        source: of most of them, which is said to be at work; each file counts where it came from.
    """
    with kept(settings) as counted:
        active = counted.active_ingestors.labels(ALL, source)
        active.inc()
        try:
            yield _Taking(settings, counted).watched
        except Exception:
            counted.errors_total.labels(UNKNOWN, source).inc()
            raise
        finally:
            active.dec()


class _Taking:
    def __init__(self, settings: Settings, counted: IngestionMetrics) -> None:
        self._settings = settings
        self._counted = counted
        self._sized: set[Path] = set()

    def watched(self, results: Iterable[Result]) -> Iterator[Result]:
        """The same results, each counted with the time it took."""
        began = time.monotonic()
        for result in results:
            with _never_failing():
                self._count(result, time.monotonic() - began)
            yield result
            began = time.monotonic()

    def _count(self, result: object, seconds: float) -> None:
        counted = self._counted
        if isinstance(result, Rejected):
            counted.errors_total.labels(UNKNOWN, source_of(self._settings, result.path)).inc()
        if not isinstance(result, Intake) or not result.changed or result.note:
            return
        source = source_of(self._settings, result.path)
        rows: dict[str, int] = {}
        for key, delivered in result.partitions.items():
            highway = PartitionKey.parse(key).highway_id
            rows[highway] = rows.get(highway, 0) + delivered
        for highway in rows:
            counted.last_success_timestamp_seconds.labels(highway, INTAKE).set_to_current_time()
        if result.unassigned:
            rows[UNKNOWN] = result.unassigned
            counted.validated_records_total.labels(UNKNOWN, source).inc(result.unassigned)
            counted.validation_failures_total.labels(UNKNOWN, source).inc(result.unassigned)
        for highway, number in rows.items():
            counted.records_total.labels(highway, source).inc(number)
        most = max(rows, key=rows.__getitem__, default=UNKNOWN)
        counted.ingestion_duration_seconds.labels(most, source).observe(seconds)
        if result.path not in self._sized:  # members of an archive share its bytes
            self._sized.add(result.path)
            counted.bytes_total.labels(most, source).inc(result.path.stat().st_size)


# stages --------------------------------------------------------------------------------------


class Stage:
    """What a stage that is being measured tells of itself."""

    def __init__(
        self,
        settings: Settings,
        platform: Platform,
        counted: IngestionMetrics,
        key: PartitionKey | None,
    ) -> None:
        self._settings = settings
        self._platform = platform
        self._counted = counted
        self._key = key
        self._began = time.monotonic()

    def wrote(self, commits: Sequence[Commit], report: DataQualityReport | None = None) -> None:
        """Everything is stored. Called while nobody else writes the recording."""
        seconds = time.monotonic() - self._began
        with _never_failing():
            self._count(commits, seconds)
            for rating in report.ratings if report is not None else ():
                if rating.score is not None:
                    highway = commits[0].partition["highway_id"]
                    self._counted.quality_score.labels(highway, rating.stage).set(rating.score)

    def _count(self, commits: Sequence[Commit], seconds: float) -> None:
        counted = self._counted
        for commit in commits:
            highway = commit.partition.get("highway_id", ALL)
            told = _ASSETS.get(commit.table, commit.table)
            counted.last_success_timestamp_seconds.labels(highway, told).set_to_current_time()
            if commit.table not in {model.VALIDATED_POINTS.name, model.QUARANTINE.name}:
                continue
            labels = highway, self._source()
            counted.validated_records_total.labels(*labels).inc(commit.rows)
            if commit.table == model.QUARANTINE.name:
                counted.validation_failures_total.labels(*labels).inc(commit.rows)
            else:
                counted.validation_duration_seconds.labels(*labels).observe(seconds)
                counted.anomalies_total.labels(*labels).inc(self._flagged(commit))

    def failed(self) -> None:
        """It ended in an error."""
        with _never_failing():
            highway = self._key.highway_id if self._key is not None else ALL
            self._counted.errors_total.labels(highway, self._source()).inc()

    def _source(self) -> str:
        """By which way the files of the recording came."""
        if self._key is None:
            return ALL
        raw = self._platform.lake.current(model.RAW_TRAJECTORIES, identity(self._key))
        files = raw.provenance.files if raw is not None else ()
        ways = {source_of(self._settings, file.path) for file in files}
        return SEVERAL if len(ways) > 1 else next(iter(ways), UNKNOWN)

    def _flagged(self, validated: Commit) -> int:
        of_recording = {name: validated.partition[name] for name in ("highway_id", "recording")}
        points = self._platform.lake.scan(model.VALIDATED_POINTS, of_recording)
        return points.select((pl.col("flags").list.len() > 0).sum()).collect().item()


@contextmanager
def stage(
    settings: Settings, platform: Platform, key: PartitionKey | None = None
) -> Iterator[Stage]:
    """Measure a stage, of a recording or of the corpus: it tells what it wrote; failures count."""
    with kept(settings) as counted:
        measured = Stage(settings, platform, counted, key)
        try:
            yield measured
        except Exception:
            measured.failed()
            raise


# upkeep --------------------------------------------------------------------------------------


def looked_after(settings: Settings) -> None:
    """Upkeep has been done: how much room everything takes now."""
    with _never_failing(), kept(settings) as counted:
        for (highway, folder), size in storage_usage(settings).items():
            counted.storage_usage_bytes.labels(highway, folder).set(size)
        counted.last_success_timestamp_seconds.labels(ALL, UPKEEP).set_to_current_time()


def storage_usage(settings: Settings) -> dict[tuple[str, str], int]:
    """Bytes of all files by highway and folder."""
    sizes: dict[tuple[str, str], int] = {}
    for name in _KEPT_IN:
        _add_sizes(getattr(settings, name), ALL, name, sizes)
    return sizes


def _add_sizes(folder: Path, highway: str, name: str, sizes: dict[tuple[str, str], int]) -> None:
    sizes.setdefault((highway, name), 0)
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            with suppress(OSError):  # gone meanwhile
                if entry.is_dir(follow_symlinks=False):
                    found = _DIVIDED.fullmatch(entry.name)
                    _add_sizes(Path(entry.path), found[1] if found else highway, name, sizes)
                else:
                    sizes[highway, name] += entry.stat(follow_symlinks=False).st_size


# when somebody asks --------------------------------------------------------------------------


def exposition(settings: Settings, health: Health) -> bytes:
    """What Prometheus is told: what all processes have counted, and what is so at the moment."""
    samples = {
        key: value
        for key, value in folding.totals(settings.metrics).items()
        if key[0] != metrics.STORAGE_USAGE.name
    }
    for key, value in gauges(health).items():
        # a stage that wrote nothing new succeeded all the same: the later of counted and stored
        samples[key] = max(value, samples.get(key, value))
    for labels, size in storage_usage(settings).items():
        samples[_key(metrics.STORAGE_USAGE, *labels)] = float(size)
    samples[_key(metrics.ACTIVE_INGESTORS, ALL, INCOMING)] = 0.0
    for labels, count in ingestors.under_way(settings.metrics).items():
        samples[_key(metrics.ACTIVE_INGESTORS, *labels)] = float(count)
    for check in health.checks:
        samples[_key(metrics.HEALTH, check.name)] = float(SEVERITY[check.status])
    return folding.render(samples)


def _key(metric: metrics.Metric, *labels: str) -> tuple[str, folding.Labels]:
    return metric.name, tuple(sorted(zip(metric.labels, labels, strict=True)))


@contextmanager
def _never_failing() -> Iterator[None]:
    try:
        yield
    except Exception as error:
        _log.warning("something could not be measured", error=error)
