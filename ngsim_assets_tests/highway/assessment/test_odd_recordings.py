"""Recordings with hardly anything in them are measured as far as they go, and no further."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import polars as pl
import pytest

from ngsim_assets.highway.assess import RowCounts, assess
from ngsim_assets.highway.assessment.catalogue import catalogue
from ngsim_assets.highway.model import CLEANED_TRAJECTORIES, QUALITY_METRICS, VALIDATED_POINTS
from ngsim_assets.highway.sites import SITES, US_101, Site
from ngsim_assets_tests.highway.assessment.measured import measured, value
from ngsim_assets_tests.highway.driven import narrow, points
from ngsim_assets_tests.highway.sample_recordings import RECORDING, Sample, sample_recording

SAMPLE = sample_recording(vehicles_per_lane=3, lanes=2, minutes=0.5)


def _nothing() -> Sample:
    return Sample(
        pl.DataFrame(schema=VALIDATED_POINTS.schema),
        pl.DataFrame(schema=CLEANED_TRAJECTORIES.schema),
    )


def _cut(keep: Callable[[pl.DataFrame], pl.DataFrame]) -> Sample:
    return Sample(keep(SAMPLE.validated), keep(SAMPLE.cleaned))


def _standing() -> Sample:
    still = {"y_position": 100.0, "velocity_y": 0.0, "speed": 0.0, "acceleration": 0.0}
    both = _cut(lambda table: table.with_columns(**{k: pl.lit(v) for k, v in still.items()}))
    cleaned = both.cleaned.with_columns(
        y_raw=pl.lit(100.0), acceleration_y=pl.lit(0.0), jerk=pl.lit(0.0)
    )
    return Sample(both.validated, cleaned)


def _bare() -> Sample:
    """Positions and nothing else."""

    def stripped(table: pl.DataFrame) -> pl.DataFrame:
        kept = ("highway_id", "recording", "date", "vehicle_id", "vehicle_type", "state", "frame")
        kept = (*kept, "x_position", "y_position")
        return table.with_columns(
            pl.lit(None, dtype).alias(name)
            for name, dtype in table.schema.items()
            if name not in kept
        )

    return _cut(stripped)


def _stray_frame() -> Sample:
    """A frame number far out: memory must not follow it."""
    return _cut(
        lambda table: table.with_columns(
            frame=pl.when(pl.int_range(pl.len()) == pl.len() - 1)
            .then(2_000_000_000)
            .otherwise("frame")
            .cast(pl.Int32)
        )
    )


RECORDINGS: dict[str, Sample] = {
    "nothing validated": _nothing(),
    "one row": _cut(lambda table: table.head(1)),
    "two rows": _cut(lambda table: table.head(2)),
    "one vehicle": _cut(lambda table: table.filter(vehicle_id=1)),
    "one row of every vehicle": _cut(lambda table: table.unique("vehicle_id", keep="first")),
    "nothing cleaned": Sample(SAMPLE.validated, _nothing().cleaned),
    "all standing": _standing(),
    "positions only": _bare(),
    "a stray frame": _stray_frame(),
    "the same rows twice": _cut(lambda table: pl.concat([table, table])),
}


@pytest.mark.parametrize("site", SITES.values(), ids=SITES)
@pytest.mark.parametrize("sample", RECORDINGS.values(), ids=RECORDINGS)
def test_every_metric_is_a_number_or_null(sample: Sample, site: Site) -> None:
    rows = sample.validated.height
    metrics = measured(sample, RowCounts(rows + 3, rows, 3, {"exact_duplicate": 3}), site)
    assert dict(metrics.schema) == dict(QUALITY_METRICS.schema)
    assert metrics["value"].is_finite().all(ignore_nulls=True)
    assert metrics.height == 1 + sum(
        len(metric.stages) for section in catalogue(site) for metric in section.metrics
    )
    shares = metrics.filter(unit="%").filter(~pl.col("metric").str.contains("change$|published"))
    assert shares["value"].is_between(0, 100 + 1e-9).all(ignore_nulls=True)
    judged = metrics.filter(pl.col("passed").is_not_null())
    assert judged["value"].is_not_null().all()


def test_only_duplicates_were_delivered() -> None:
    counts = RowCounts(50, 1, 49, {"exact_duplicate": 49})
    metrics = measured(RECORDINGS["one row"], counts)
    assert value(metrics, "rows_exact_duplicate_share", "raw") == 98
    assert value(metrics, "rows_unaccounted", "raw") == 0


def test_no_row_at_all() -> None:
    empty = _nothing()
    metrics = assess(
        empty.validated.lazy(), empty.cleaned.lazy(), RowCounts(0, 0, 0), US_101, RECORDING
    )
    for metric in ("rows_quarantined_share", "rows_exact_duplicate_share"):
        assert value(metrics, metric, "raw") is None


def test_what_stands_has_no_waves_and_no_residual_to_remember() -> None:
    metrics = measured(RECORDINGS["all standing"])
    for metric in (
        "wave_speed",
        "residual_along_correlation_0_1s",
        "residual_along_memory",
        "repair_along_rmse",
        "time_headway_rmse",
    ):
        assert value(metrics, metric) is None
    assert value(metrics, "edie_speed") == 0
    assert value(metrics, "edie_flow_change") is None
    assert value(metrics, "jerk_over_15") == 0
    assert value(metrics, "speed_p95") == 0


def test_a_constant_has_no_power_above_anything() -> None:
    rows = narrow(1, 10.0 * (0.1 * np.arange(400)))
    validated = points(rows, speed=pl.lit(10.0), acceleration=pl.lit(0.0))
    metrics = measured(SAMPLE, validated=validated)
    assert value(metrics, "speed_power_over_1hz", "validated") is None
