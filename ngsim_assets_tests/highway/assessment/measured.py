"""A small recording of known motion, measured, and single values read off the table."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import polars as pl

from ngsim_assets.highway.assess import RowCounts, assess
from ngsim_assets.highway.sites import US_101, Site
from ngsim_assets_tests.highway.sample_recordings import RECORDING, Sample


def measured(
    sample: Sample, counts: RowCounts | None = None, site: Site = US_101, **given: Any
) -> pl.DataFrame:
    """`quality_metrics` of `sample`; `given` replaces its tables."""
    both = replace(sample, **given)
    rows = both.validated.height
    return assess(
        both.validated.lazy(),
        both.cleaned.lazy(),
        counts or RowCounts(rows, rows, 0),
        site,
        RECORDING,
    )


def value(metrics: pl.DataFrame, metric: str, stage: str = "cleaned") -> Any:
    """The one value of a metric at a stage."""
    return metrics.filter(metric=metric, stage=stage)["value"].item()
