"""Figures of laps and of neutralisations.

Belongs here: how these metrics are computed. Does not belong here: their names' meanings and
limits (catalogue.py), what racing laps and outliers are (validate.py).
"""

from __future__ import annotations

import polars as pl

from ngsim_assets.f1.assessment.scans import Figures, SessionScans, percent
from ngsim_assets.f1.sessions import Kind
from ngsim_assets.f1.track_status import GREEN
from ngsim_assets.f1.validate import prepared_laps
from ngsim_assets.f1.validation_rules import COMPOUNDS, RACING, ROBUST, ROBUST_Z, SECTOR_SUM_MS

_SECTORS = ("sector1_ms", "sector2_ms", "sector3_ms")


def of_laps(scans: SessionScans, kind: Kind) -> Figures:
    """Completeness of laps and how they agree with themselves."""
    laps = prepared_laps(scans.laps.collect(), race=kind == "race")
    refused = (
        scans.quarantine.filter(pl.col("table") == "f1_laps").select("reasons", "content").collect()
    )
    rows = laps.height
    racing = laps.filter(RACING)
    judged = laps.select(pl.col(ROBUST).drop_nulls().abs())[ROBUST]
    off = laps.select(
        (pl.sum_horizontal(*_SECTORS, ignore_nulls=False) - pl.col("lap_time_ms"))
        .abs()
        .drop_nulls()
        .alias("off")
    )["off"]
    disagree = int(refused["reasons"].list.contains("sectors_do_not_sum").sum())
    agree = int((off <= SECTOR_SUM_MS).sum())
    green = pl.col("track_status").fill_null("").str.contains(f"^[{''.join(sorted(GREEN))}]*$")
    difference = off.max()
    return {
        ("laps", ""): rows,
        ("laps_complete", ""): _complete(laps, refused),
        ("laps_timed", ""): percent(laps["lap_time_ms"].count(), rows),
        ("racing_laps", ""): racing.height,
        ("racing_laps_timed", ""): percent(racing["lap_time_ms"].count(), racing.height),
        ("sectors_agree", ""): percent(agree, len(off) + disagree),
        ("sector_difference", ""): difference if isinstance(difference, int) else None,
        ("racing_lap_outliers", ""): percent(int((judged > ROBUST_Z).sum()), len(judged)),
        ("laps_neutralised", ""): percent(laps.filter(~green).height, rows),
        ("laps_accurate", ""): percent(int(laps["accurate"].sum()), rows),
        ("compound_known", ""): percent(int(laps["compound"].is_in(COMPOUNDS).sum()), rows),
    }


def of_neutralisations(scans: SessionScans) -> Figures:
    """How far status, race control and lap times tell of the same phases."""
    told = scans.neutralisations.select("evidence", "confirmed", "seen_in_laps").collect()
    of = told["evidence"]
    has_status = scans.track_status.select(pl.len() > 0).collect().item()
    return {
        ("phases", ""): told.height,
        ("phases_in_status", ""): percent(int((of == "status").sum()), told.height)
        if has_status
        else None,
        ("phases_confirmed", ""): _share(told["confirmed"]),
        ("phases_seen_in_laps", ""): _share(told["seen_in_laps"]),
        ("phases_only_in_laps", ""): int((of == "lap_times").sum()),
    }


def _share(known: pl.Series) -> float | None:
    """True of those that are not null."""
    return percent(int(known.sum()), known.count())


def _complete(laps: pl.DataFrame, refused: pl.DataFrame) -> float | None:
    """Laps closed against the highest numbers of all drivers."""
    numbered = laps.select("driver_number", "lap_number")
    content = pl.col("content")
    others = refused.select(
        content.str.json_path_match(f"$.{name}").cast(dtype, strict=False).alias(name)
        for name, dtype in numbered.schema.items()
    ).drop_nulls()
    highest = pl.concat([numbered, others]).group_by("driver_number").agg(pl.max("lap_number"))
    return percent(numbered.n_unique(), int(highest["lap_number"].sum()))
