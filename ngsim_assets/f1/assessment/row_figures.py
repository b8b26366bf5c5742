"""Figures of rows: telemetry at which rate and with which gaps, and rows by the rules they broke.

Belongs here: how these metrics are computed. Does not belong here: their names' meanings and
limits (catalogue.py), rules (validation_rules.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import polars as pl

from ngsim_assets.f1.assessment.scans import Figures, Running, SessionScans, percent
from ngsim_assets.f1.telemetry.rates import rates
from ngsim_assets.f1.telemetry.resample import GAP_LIMIT_MS
from ngsim_assets.quality.rules import Rule

_JUDGED = (
    "f1_laps",
    "f1_weather",
    "f1_track_status",
    "f1_race_control",
    "f1_session_status",
    "f1_telemetry",
    "f1_positions",
)
_OF_TABLES = (
    "telemetry_rows",
    "telemetry_rate",
    "telemetry_coverage",
    "telemetry_gap_p99",
    "telemetry_bridged",
    "telemetry_longest_gap",
)


def of_telemetry(scans: SessionScans, ran: Running) -> Figures:
    """Rates and gaps of each table of telemetry, and of each car in car data."""
    tables = (("f1_telemetry", scans.telemetry), ("f1_positions", scans.positions))
    figures: Figures = {
        (metric, table): 0 if metric == "telemetry_rows" else None
        for table, _ in tables
        for metric in _OF_TABLES
    }
    for table, scan in ((table, scan) for table, scan in tables if scan is not None):
        moments = scan.select("driver_number", "timestamp").collect()
        cars = rates(moments)
        gap = pl.col("timestamp").diff().over("driver_number").dt.total_microseconds() / 1000
        gaps = moments.sort("driver_number", "timestamp").select(gap.alias("gap"))["gap"]
        gaps = gaps.drop_nulls()
        figures |= {
            ("telemetry_rows", table): moments.height,
            ("telemetry_rate", table): _number(cars["rate_hz"].min()),
            ("telemetry_coverage", table): _coverage(moments["timestamp"], ran),
            ("telemetry_gap_p99", table): _number(cars["p99_gap_ms"].max()),
            ("telemetry_bridged", table): percent(int((gaps <= GAP_LIMIT_MS).sum()), len(gaps)),
            ("telemetry_longest_gap", table): _number(gaps.max(), 1000),
        }
        if table == "f1_telemetry":
            for car, rate, longest in cars.select(
                "driver_number", "rate_hz", "longest_gap_ms"
            ).iter_rows():
                figures["rate_of_car", str(car)] = rate
                figures["longest_gap_of_car", str(car)] = _number(longest, 1000)
        codes = _listed(scan, "nulled")
        figures |= {
            ("nulled", f"{table}.{code}"): percent(rows, moments.height)
            for code, rows in codes.items()
        }
    return figures


def of_rules(scans: SessionScans, rules: Mapping[str, Sequence[Rule]]) -> Figures:
    """Rows each rule rejected and flagged, those of `rules` that no row broke too."""
    refused = (
        scans.quarantine.filter(pl.col("table") != "f1_messages")
        .select("table", "reasons")
        .collect()
    )
    by_table = dict(refused.group_by("table").len().iter_rows())
    reasons = refused.explode("reasons").group_by("table", "reasons").len()
    rejected = {(table, reason): rows for table, reason, rows in reasons.iter_rows()}
    flagged: dict[tuple[str, str], int] = {}
    believed: dict[str, int] = {}
    for table in _JUDGED:
        scan = scans.by_table.get(table)
        if scan is None:
            continue
        believed[table] = scan.select(pl.len()).collect().item()
        if "flags" in scan.collect_schema():
            flagged |= {(table, flag): rows for flag, rows in _listed(scan, "flags").items()}
    for table, known in rules.items():
        for rule in known:
            counted = rejected if rule.severity == "reject" else flagged
            counted.setdefault((table, rule.name), 0)
    rows = {
        table: believed.get(table, 0) + by_table.get(table, 0)
        for table in {*believed, *by_table, *rules}
    }
    figures: Figures = {}
    for table, whole in rows.items():
        figures["rows_quarantined", table] = by_table.get(table, 0)
        figures["rows_quarantined_share", table] = percent(by_table.get(table, 0), whole)
    for (table, rule), count in rejected.items():
        figures["rejected", f"{table}.{rule}"] = count
        figures["rejected_share", f"{table}.{rule}"] = percent(count, rows[table])
    return figures | {("flagged", f"{table}.{rule}"): n for (table, rule), n in flagged.items()}


def _listed(scan: pl.LazyFrame, column: str) -> dict[str, int]:
    """Rows per name in lists."""
    names = scan.select(pl.col(column).explode()).drop_nulls()
    return dict(names.group_by(column).len().collect(engine="streaming").iter_rows())


def _coverage(timestamps: pl.Series, ran: Running) -> float | None:
    if ran.zero is None:
        return None
    return ran.covered(timestamps.unique().dt.epoch("ms") - ran.zero, 30_000)


def _number(value: object, over: float = 1.0) -> float | None:
    return float(value) / over if isinstance(value, int | float) else None
