"""What the work on sessions means for the metrics of the platform: what counts what.

Metrics are divided by highway; sessions count as one of them, `formula-1`. A session is never a
label.

Belongs here: counting what comes in and what steps of the asset graph write. Does not belong here:
which metrics there are, how they are kept (observability).

Nothing in here fails what it measures: what cannot be counted is told as a warning.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Final

from ngsim_assets.acquisition.observers.metrics import MetricsObserver
from ngsim_assets.f1.stages import FLAGGED, Stored
from ngsim_assets.observability import logs
from ngsim_assets.observability.keeping import kept
from ngsim_assets.observability.metrics import ALL, IngestionMetrics
from ngsim_assets.quality.report import DataQualityReport
from ngsim_assets.settings import Settings

FORMULA_1: Final = "formula-1"
"""Label `highway` of every session."""

_log = logs.get_logger(logger="metrics")


@contextmanager
def fetching(settings: Settings) -> Generator[MetricsObserver]:
    """Somebody to be told of what comes in, which is counted: files, lines, bytes, failures."""
    with kept(settings) as counted:
        yield MetricsObserver(counted, otherwise=FORMULA_1)


class Step:
    """What a step that is being measured tells of itself."""

    def __init__(self, counted: IngestionMetrics, name: str) -> None:
        self._counted = counted
        self._name = name
        self._began = time.monotonic()

    def stored(self, stored: Stored) -> None:
        """The tables of a session are stored; those that were up to date are not counted again."""
        with _never_failing():
            if stored.written:
                seconds = time.monotonic() - self._began
                self._counted.validation_duration_seconds.labels(FORMULA_1, ALL).observe(seconds)
            for name in stored.written:
                rows = stored.commits[name].provenance.rows
                if "read" in rows:
                    self._judged(rows["read"], rows["quarantined"], _flagged(rows))
            self.succeeded()

    def reported(self, report: DataQualityReport) -> None:
        """A session has a report."""
        with _never_failing():
            for rating in report.ratings:
                if rating.score is not None:
                    score = self._counted.quality_score.labels(FORMULA_1, rating.stage)
                    score.set(rating.score)
            self.succeeded()

    def succeeded(self) -> None:
        """The step ended well."""
        moment = self._counted.last_success_timestamp_seconds
        moment.labels(FORMULA_1, self._name).set_to_current_time()

    def failed(self) -> None:
        """The step ended in an error."""
        with _never_failing():
            self._counted.errors_total.labels(FORMULA_1, ALL).inc()

    def _judged(self, read: int, refused: int, flagged: int) -> None:
        self._counted.validated_records_total.labels(FORMULA_1, ALL).inc(read)
        self._counted.validation_failures_total.labels(FORMULA_1, ALL).inc(refused)
        self._counted.anomalies_total.labels(FORMULA_1, ALL).inc(flagged)


@contextmanager
def step(settings: Settings, name: str) -> Generator[Step]:
    """Measure a step of the asset graph: it tells what it wrote; failures count."""
    with kept(settings) as counted:
        measured = Step(counted, name)
        try:
            yield measured
        except Exception:
            measured.failed()
            raise


def _flagged(rows: Mapping[str, int]) -> int:
    """Flags given to rows of a table; a row may have several."""
    return sum(number for name, number in rows.items() if name.startswith(FLAGGED))


@contextmanager
def _never_failing() -> Generator[None]:
    try:
        yield
    except Exception as error:
        _log.warning("something could not be measured", error=error)
