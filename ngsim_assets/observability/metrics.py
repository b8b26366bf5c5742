"""Metrics of the platform at work: what is counted, in which unit, under which labels.

Belongs here: the declaration of each metric, once, and the objects that count. Does not belong
here: how counts outlive a process (folding.py), who is told (pushing.py, serving.py), what the
stages of a domain count.

Labels are of few values, since each combination is a series for ever: highways, ways that data
comes by, stages. A recording is never a label.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

Kind = Literal["counter", "histogram", "gauge"]

HIGHWAY, SOURCE, STAGE, FOLDER, CHECK = "highway", "source", "stage", "folder", "check"

ALL = "all"
"""Label `highway` of what belongs to every highway together."""

UNKNOWN = "unknown"
"""Label `highway` of what cannot be told: rows of no recording, a file that nobody can read."""


@dataclass(frozen=True, slots=True)
class Metric:
    """What a metric is.

    Attributes:
        name: as Prometheus has it. meaning: one sentence. unit: of its values.
        kept: whether it outlives the process that counted it; if not, whoever is asked finds out.
        buckets: upper bounds of a histogram. note: what one must know to read it rightly.
    """

    name: str
    kind: Kind
    unit: str
    labels: tuple[str, ...]
    meaning: str
    kept: bool = True
    buckets: tuple[float, ...] = ()
    note: str = ""

    @property
    def samples(self) -> tuple[str, ...]:
        """Names that queries use."""
        if self.kind == "histogram":
            return tuple(f"{self.name}_{part}" for part in ("bucket", "sum", "count"))
        return (self.name,)


_BY_ORIGIN = (HIGHWAY, SOURCE)

RECORDS = Metric(
    "ngsim_records_total",
    "counter",
    "rows",
    _BY_ORIGIN,
    "Rows of data that came in.",
    note="Downloaded rows count again when they are taken in, as `source` tells.",
)
BYTES = Metric(
    "ngsim_bytes_total",
    "counter",
    "bytes",
    _BY_ORIGIN,
    "Bytes that came in: of files taken in, or received over the network.",
    note="A file with rows of several highways counts for the one it has most rows of.",
)
ERRORS = Metric(
    "ngsim_errors_total",
    "counter",
    "failures",
    _BY_ORIGIN,
    "What could not be had or not be taken in: a resource, a file, a stage that failed.",
)
VALIDATION_FAILURES = Metric(
    "ngsim_validation_failures_total",
    "counter",
    "rows",
    _BY_ORIGIN,
    "Rows that validation put into quarantine, each once, however many rules it broke.",
    note="A recording that is validated again counts again: shares are of "
    "`ngsim_validated_records_total`.",
)
ANOMALIES = Metric(
    "ngsim_anomalies_total",
    "counter",
    "rows",
    _BY_ORIGIN,
    "Points that validation passed and flagged.",
)
VALIDATED = Metric(
    "ngsim_validated_records_total",
    "counter",
    "rows",
    _BY_ORIGIN,
    "Rows that were validated, whatever came of it.",
)
INGESTION_SECONDS = Metric(
    "ngsim_ingestion_duration_seconds",
    "histogram",
    "s",
    _BY_ORIGIN,
    "Time until a file was taken in, or a downloaded one was complete.",
    # A recording of 15 min (100 MB of text) is taken in within seconds, the export of all highways
    # (1.5 GB) within minutes; the same over a slow line takes up to an hour.
    buckets=(0.1, 0.5, 2.0, 5.0, 15.0, 60.0, 300.0, 1800.0),
    note="From an archive's member to the export of all highways over a slow line.",
)
VALIDATION_SECONDS = Metric(
    "ngsim_validation_duration_seconds",
    "histogram",
    "s",
    _BY_ORIGIN,
    "Time to validate a recording.",
    # 400 k rows take some seconds on two cores, and 1.5 M rows, the largest recording, half a
    # minute; what takes minutes waits for a disk or for memory.
    buckets=(0.5, 2.0, 5.0, 15.0, 60.0, 300.0),
    note="From an excerpt to a machine that swaps.",
)
QUALITY_SCORE = Metric(
    "ngsim_quality_score",
    "gauge",
    "0 to 100",
    (HIGHWAY, STAGE),
    "Score of the recording whose report was made last, before (`validated`) and after "
    "(`cleaned`) cleaning.",
    note="Which recording that was stands in the log and in Dagster; recordings are no labels.",
)
ACTIVE_INGESTORS = Metric(
    "ngsim_active_ingestors",
    "gauge",
    "ingestors",
    _BY_ORIGIN,
    "Ingestions under way now, in every process that lives.",
    kept=False,
)
STORAGE_USAGE = Metric(
    "ngsim_storage_usage_bytes",
    "gauge",
    "bytes",
    (HIGHWAY, FOLDER),
    "Size of the files in a folder of the data folder.",
    note="What is not kept apart by highway is `all`.",
)
LAST_SUCCESS = Metric(
    "ngsim_last_success_timestamp_seconds",
    "gauge",
    "s since 1970",
    (HIGHWAY, STAGE),
    "When a stage last succeeded for any recording of the highway.",
)
OPEN_BREAKERS = Metric(
    "ngsim_open_breakers",
    "gauge",
    "hosts",
    (),
    "Hosts that failed so often that they are left alone.",
    kept=False,
)
FAILED_FILES = Metric(
    "ngsim_failed_files",
    "gauge",
    "files",
    (),
    "Files that were refused and are still there.",
    kept=False,
)
FAILED_BUILDS = Metric(
    "ngsim_failed_builds",
    "gauge",
    "builds",
    (),
    "Builds that failed and have not succeeded since.",
    kept=False,
)
WAITING_FILES = Metric(
    "ngsim_waiting_files",
    "gauge",
    "files",
    (),
    "Complete files in the incoming folder that nobody has taken in.",
    kept=False,
)
DISK_FREE = Metric(
    "ngsim_disk_free_bytes", "gauge", "bytes", (), "Free on the disk of the data folder.", False
)
DAEMON_UP = Metric(
    "ngsim_daemon_up",
    "gauge",
    "0 or 1",
    (),
    "Whether Dagster's daemon lives, so that files are taken in by themselves.",
    kept=False,
)
HEALTH = Metric(
    "ngsim_health",
    "gauge",
    "0, 1 or 2",
    (CHECK,),
    "What a check of `/health` found: 0 is ok, 1 degraded, 2 failing.",
    kept=False,
)

METRICS: tuple[Metric, ...] = (
    RECORDS,
    BYTES,
    ERRORS,
    VALIDATED,
    VALIDATION_FAILURES,
    ANOMALIES,
    INGESTION_SECONDS,
    VALIDATION_SECONDS,
    QUALITY_SCORE,
    LAST_SUCCESS,
    STORAGE_USAGE,
    ACTIVE_INGESTORS,
    OPEN_BREAKERS,
    FAILED_FILES,
    FAILED_BUILDS,
    WAITING_FILES,
    DISK_FREE,
    DAEMON_UP,
    HEALTH,
)


class IngestionMetrics:
    """What one process counts, in a registry of its own.

    Every metric has labels `highway` and `source`, but for the gauges that are declared
    otherwise: `metrics.records_total.labels("us-101", "incoming").inc(rows)`.
    """

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

        self.registry = registry or CollectorRegistry()

        def counter(metric: Metric) -> Counter:
            return Counter(metric.name, metric.meaning, metric.labels, registry=self.registry)

        def histogram(metric: Metric) -> Histogram:
            return Histogram(
                metric.name,
                metric.meaning,
                metric.labels,
                registry=self.registry,
                buckets=metric.buckets,
            )

        def gauge(metric: Metric) -> Gauge:
            return Gauge(metric.name, metric.meaning, metric.labels, registry=self.registry)

        self.records_total = counter(RECORDS)
        self.bytes_total = counter(BYTES)
        self.errors_total = counter(ERRORS)
        self.validated_records_total = counter(VALIDATED)
        self.validation_failures_total = counter(VALIDATION_FAILURES)
        self.anomalies_total = counter(ANOMALIES)
        self.ingestion_duration_seconds = histogram(INGESTION_SECONDS)
        self.validation_duration_seconds = histogram(VALIDATION_SECONDS)
        self.quality_score = gauge(QUALITY_SCORE)
        self.last_success_timestamp_seconds = gauge(LAST_SUCCESS)
        self.storage_usage_bytes = gauge(STORAGE_USAGE)
        self.active_ingestors = gauge(ACTIVE_INGESTORS)
