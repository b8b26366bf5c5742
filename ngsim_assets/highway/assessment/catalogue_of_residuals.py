"""Metrics of what cleaning changed: residuals of points kept, and repairs of outliers.

Belongs here: words and limits, each limit with its source. Does not belong here: the numbers
that definitions share (metrics.py), any computation (motion_figures.py).
"""

from __future__ import annotations

from ngsim_assets.highway.assessment.metrics import (
    BOX,
    CHOSEN,
    CLEANED,
    LONGEST_MEMORY,
    RESIDUAL_LAGS,
    MetricDefinition,
    MetricSection,
    lag_metric,
)
from ngsim_assets.quality.report import Limit


def residual() -> MetricSection:
    """What cleaning took for error, and whether it looks like one."""
    metrics: list[MetricDefinition] = []
    for axis, title in (("along", "along the section"), ("across", "lateral")):
        metrics += _residual(axis, f"Residual {title}")
    repair = "Repair = reconstructed − validated position along the section of repaired points."
    for figure, title, how in (
        ("rmse", "RMSE", "√ of the mean squared repair"),
        ("largest", "largest", "Largest |repair|"),
    ):
        metrics.append(
            MetricDefinition(
                f"repair_along_{figure}",
                f"Repair along the section, {title}",
                "m",
                f"{how}. {repair}",
                stages=(CLEANED,),
            )
        )
    return MetricSection(
        "residual",
        "What cleaning changed",
        "How far reconstructed positions lie from delivered ones, and how long an error lasts.",
        tuple(metrics),
    )


def _residual(axis: str, title: str) -> list[MetricDefinition]:
    metric, cleaned = MetricDefinition, (CLEANED,)
    observed = (
        "Residual = reconstructed − validated position of points kept as observed "
        "(repaired and imputed ones left out)."
    )
    correlation = (
        "Σ e(t) e(t + lag) / √(Σ e(t)² · Σ e(t + lag)²) over all pairs of residuals so far apart "
        "in stretches of consecutive frames, less the mean of all."
    )
    return [
        metric(
            f"residual_{axis}_mean",
            f"{title}, mean",
            "m",
            f"Mean residual. {observed}",
            stages=cleaned,
            limit=Limit(
                threshold=0.05,
                relation="within",
                basis=f"{CHOSEN}: cleaning moves no vehicle on the whole",
            ),
        ),
        metric(
            f"residual_{axis}_rmse",
            f"{title}, RMSE",
            "m",
            f"√ of the mean squared residual. {observed}",
            stages=cleaned,
        ),
        metric(
            f"residual_{axis}_mae",
            f"{title}, mean absolute",
            "m",
            f"Mean absolute residual. {observed}",
            stages=cleaned,
        ),
        metric(
            f"residual_{axis}_largest",
            f"{title}, largest",
            "m",
            f"Largest |residual|. {observed}",
            stages=cleaned,
        ),
        *(
            metric(
                lag_metric(axis, lag),
                f"{title}, correlation over {lag:g} s",
                "",
                f"{correlation} Lag = {lag:g} s. {observed}",
                BOX,
                stages=cleaned,
            )
            for lag in RESIDUAL_LAGS
        ),
        metric(
            f"residual_{axis}_memory",
            f"{title}, time to forget",
            "s",
            "Smallest lag at which the correlation is below 1/e; undefined over "
            f"{LONGEST_MEMORY:g} s. "
            f"{correlation} {observed}",
            BOX,
            stages=cleaned,
        ),
    ]
