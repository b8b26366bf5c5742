"""Metrics are what their declarations say, and nothing is shared between two who count."""

from __future__ import annotations

import prometheus_client
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from ngsim_assets.observability.folding import collected, render
from ngsim_assets.observability.metrics import (
    INGESTION_SECONDS,
    METRICS,
    VALIDATION_SECONDS,
    IngestionMetrics,
)


def _families(metrics: IngestionMetrics) -> dict[str, tuple[str, str]]:
    return {
        family.name + ("_total" if family.type == "counter" else ""): (
            family.type,
            family.documentation,
        )
        for family in metrics.registry.collect()
    }


def test_every_metric_that_a_process_counts_is_declared() -> None:
    declared = {metric.name: (metric.kind, metric.meaning) for metric in METRICS}
    counted = _families(IngestionMetrics())
    assert counted.items() <= declared.items()
    kept = {metric.name for metric in METRICS if metric.kept}
    assert kept <= counted.keys()


def test_what_is_promised_is_there() -> None:
    metrics = IngestionMetrics()
    counters = ("records", "bytes", "errors", "validation_failures", "anomalies")
    for name in counters:
        getattr(metrics, f"{name}_total").labels(highway="us-101", source="incoming").inc()
    metrics.ingestion_duration_seconds.labels(highway="us-101", source="incoming").observe(1)
    metrics.validation_duration_seconds.labels(highway="us-101", source="incoming").observe(1)
    metrics.quality_score.labels(highway="us-101", stage="cleaned").set(97)
    metrics.active_ingestors.labels(highway="us-101", source="incoming").inc()
    metrics.storage_usage_bytes.labels(highway="us-101", folder="lake").set(1)
    text = generate_latest(metrics.registry).decode()
    for name in counters:
        assert f'ngsim_{name}_total{{highway="us-101",source="incoming"}} 1.0' in text
    assert len(INGESTION_SECONDS.buckets) == 8
    assert len(VALIDATION_SECONDS.buckets) == 6
    assert 'ngsim_ingestion_duration_seconds_bucket{highway="us-101",le="2.0"' in text


def test_buckets_rise_and_names_follow_their_units() -> None:
    for metric in METRICS:
        assert list(metric.buckets) == sorted(set(metric.buckets))
        assert metric.name.startswith("ngsim_")
        assert (metric.kind == "counter") == metric.name.endswith("_total")
        assert (metric.kind == "histogram") == bool(metric.buckets)
        if metric.unit in {"s", "s since 1970"}:
            assert metric.name.endswith("_seconds")
        if metric.unit == "bytes":
            assert metric.name.removesuffix("_total").endswith("_bytes")
        assert metric.meaning.endswith(".")


def test_two_who_count_share_nothing_with_each_other_or_the_process() -> None:
    first, second = IngestionMetrics(), IngestionMetrics()
    first.records_total.labels("us-101", "incoming").inc(3)
    assert not collected(second.registry.collect())
    assert "ngsim" not in generate_latest(prometheus_client.REGISTRY).decode()


def test_what_is_rendered_is_what_was_collected() -> None:
    metrics = IngestionMetrics()
    metrics.records_total.labels("us-101", "incoming").inc(2**53 - 1)
    metrics.ingestion_duration_seconds.labels("i-80", "ngsim").observe(0.1 + 0.2)
    metrics.quality_score.labels("i-80", "cleaned").set(-0.125)
    samples = collected(metrics.registry.collect())
    families = text_string_to_metric_families(render(samples).decode())
    assert collected(families) == samples
