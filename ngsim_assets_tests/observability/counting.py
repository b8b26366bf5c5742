"""Processes that count and fold, for tests that start and kill them."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from ngsim_assets.observability.folding import Ledger
from ngsim_assets.observability.keeping import kept
from ngsim_assets.observability.metrics import IngestionMetrics
from ngsim_assets.settings import load_settings


def fold_often(folder: Path, times: int) -> None:
    """Count one file of 7 rows in 0.3 s per fold."""
    metrics = IngestionMetrics()
    ledger = Ledger(metrics.registry, folder)
    for _ in range(times):
        metrics.records_total.labels("us-101", "incoming").inc(7)
        metrics.ingestion_duration_seconds.labels("us-101", "incoming").observe(0.3)
        ledger.fold(patience=60)


def fold_for_ever(folder: Path) -> None:
    """Count one row per fold; a line tells of each that is done."""
    metrics = IngestionMetrics()
    ledger = Ledger(metrics.registry, folder)
    while True:
        metrics.records_total.labels("us-101", "incoming").inc()
        ledger.fold(patience=60)
        print("folded", flush=True)


def ingest_for_ever(data: Path) -> None:
    """One ingestion under way that has counted 5 rows; a line tells when that is in the totals."""
    with kept(load_settings(data=data), every=0.1) as metrics:
        metrics.active_ingestors.labels("us-101", "incoming").inc()
        metrics.records_total.labels("us-101", "incoming").inc(5)
        time.sleep(1.0)
        print("counted", flush=True)
        time.sleep(600)


if __name__ == "__main__":
    what, where, *numbers = sys.argv[1:]
    match what:
        case "often":
            fold_often(Path(where), int(numbers[0]))
        case "for-ever":
            fold_for_ever(Path(where))
        case "ingest":
            ingest_for_ever(Path(where))
        case _:
            raise SystemExit(f"no such thing: {what}")
