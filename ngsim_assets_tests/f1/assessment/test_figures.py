"""Figures of a simulated session, recomputed without the code that is tested."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from typing import Any

import polars as pl
import pytest

from ngsim_assets.f1.assess import SessionScans, assess
from ngsim_assets.f1.assessment.catalogue import RULE_METRICS, catalogue, names
from ngsim_assets.f1.assessment.model import F1_QUALITY_METRICS
from ngsim_assets.f1.assessment.rating import CRITERIA, QUALITY_SCORE, full_name
from ngsim_assets.f1.model import F1_QUARANTINE
from ngsim_assets.f1.reading.messages import Message
from ngsim_assets.f1.simulate import SimulatedSession
from ngsim_assets_tests.f1.assessment.sessions import race

Values = dict[tuple[str, str], Any]


@pytest.fixture(scope="module")
def session() -> SimulatedSession:
    """A race with a safety car and a virtual one, and half a minute of telemetry."""
    return race().session


@pytest.fixture(scope="module")
def messages() -> list[Message]:
    """Its feed."""
    return race().messages


@pytest.fixture(scope="module")
def scans() -> SessionScans:
    """Its tables."""
    return race().scans


@pytest.fixture(scope="module")
def metrics(session: SimulatedSession, scans: SessionScans) -> pl.DataFrame:
    """Its metrics."""
    return assess(session.scenario.session, scans, simulated=True)


def _values(metrics: pl.DataFrame) -> Values:
    rows = metrics.select("metric", "subject", "value").iter_rows()
    return {(metric, subject): value for metric, subject, value in rows}


def _again(session: SimulatedSession, scans: SessionScans) -> Values:
    return _values(assess(session.scenario.session, scans))


def test_the_rows_are_those_of_the_table(metrics: pl.DataFrame) -> None:
    assert dict(metrics.schema) == dict(F1_QUALITY_METRICS.schema)
    assert metrics.equals(metrics.sort(F1_QUALITY_METRICS.sort_by))
    assert metrics.select(F1_QUALITY_METRICS.sort_by).is_unique().all()
    assert metrics["simulated"].all()
    known = {*names(catalogue("race")), *(metric.name for metric in RULE_METRICS), QUALITY_SCORE}
    assert set(metrics["metric"]) <= known
    assert {criterion.metric.partition(":")[0] for criterion in CRITERIA} <= known
    told = {full_name(*row) for row in metrics.select("metric", "subject").iter_rows()}
    assert {criterion.metric for criterion in CRITERIA} <= told


def test_a_whole_session_keeps_every_limit_but_that_of_missing_telemetry(
    metrics: pl.DataFrame,
) -> None:
    outside = metrics.filter(~pl.col("passed"))["metric"].unique().to_list()
    assert outside == ["telemetry_coverage"]
    assert metrics["passed"].count() > 20
    assert (metrics.filter(pl.col("threshold").is_not_null())["source"] != "").all()
    # telemetry of half a minute of forty: its coverage earns none of five points
    assert _values(metrics)[QUALITY_SCORE, ""] == 95.0


def test_laps_are_those_of_the_truth(session: SimulatedSession, metrics: pl.DataFrame) -> None:
    values, truth = _values(metrics), session.laps
    assert values["laps", ""] == truth.height
    assert values["laps_complete", ""] == values["laps_timed", ""] == 100
    assert values["sectors_agree", ""] == 100
    phases = [(took.start, took.end) for took in session.neutralisations]
    under = [
        any(start <= row["lap_end_ms"] and end >= row["lap_start_ms"] for start, end in phases)
        for row in truth.iter_rows(named=True)
    ]
    assert values["laps_neutralised", ""] == pytest.approx(100 * sum(under) / truth.height)
    assert values["phases", ""] == values["phases_confirmed", ""] / 50 == 2


def test_lost_laps_untimed_laps_and_wrong_sectors_are_told(
    session: SimulatedSession, scans: SessionScans
) -> None:
    laps = scans.laps.collect()
    car = laps["driver_number"].max()
    of_car = pl.col("driver_number") == car
    lost = laps.filter(~(of_car & pl.col("lap_number").is_in([5, 6])))
    assert _again(session, replace(scans, laps=lost.lazy()))["laps_complete", ""] == pytest.approx(
        100 * (laps.height - 2) / laps.height
    )
    refused = laps.filter(of_car).tail(1)
    row = {
        "session": str(session.scenario.session),
        "date": session.scenario.session.date,
        "stage": "validated",
        "table": "f1_laps",
        "reasons": ["sectors_do_not_sum"],
        "content": json.dumps({n: refused[n].item() for n in ("driver_number", "lap_number")}),
        "source_file": "TimingData.jsonStream",
        "source_row": 7,
    }
    quarantine = pl.DataFrame([row], schema=F1_QUARANTINE.schema)
    believed = laps.join(refused, on=["driver_number", "lap_number"], how="anti")
    values = _again(session, replace(scans, laps=believed.lazy(), quarantine=quarantine.lazy()))
    share = 100 * (laps.height - 1) / laps.height
    assert values["laps_complete", ""] == pytest.approx(share)
    assert values["sectors_agree", ""] == pytest.approx(share)
    assert values["rejected", "f1_laps.sectors_do_not_sum"] == 1
    assert values["rejected_share", "f1_laps.sectors_do_not_sum"] == pytest.approx(100 - share)
    assert values["rows_quarantined_share", "f1_laps"] == pytest.approx(100 - share)


def test_an_outlier_is_told_and_a_safety_car_is_none(
    session: SimulatedSession, scans: SessionScans
) -> None:
    laps = scans.laps.collect()
    before = _again(session, scans)
    assert before["racing_lap_outliers", ""] == 0
    racing = laps.filter("accurate").filter(pl.col("lap_number") > 20).row(0, named=True)
    chosen = (pl.col("driver_number") == racing["driver_number"]) & (
        pl.col("lap_number") == racing["lap_number"]
    )
    slow = laps.with_columns(
        pl.when(chosen).then(pl.col("lap_time_ms") * 2).otherwise("lap_time_ms").cast(pl.Int32)
    )
    after = _again(session, replace(scans, laps=slow.lazy()))
    assert after["racing_lap_outliers", ""] == pytest.approx(100 / before["racing_laps", ""])


def test_silence_is_counted_while_the_session_runs(
    session: SimulatedSession, messages: list[Message], scans: SessionScans, metrics: pl.DataFrame
) -> None:
    statuses = {
        message.payload["Status"]: message.session_time or 0
        for message in messages
        if message.topic == "SessionStatus" and isinstance(message.payload, dict)
    }
    start, end = statuses["Started"], statuses["Finished"]
    times = [start, end]
    times += [m.session_time or 0 for m in messages if m.topic == "TimingData"]
    inside = sorted(time for time in times if start <= time <= end)
    longest = max(b - a for a, b in pairwise(inside))
    assert _values(metrics)["longest_silence", "TimingData"] == longest / 1000
    cut = pl.col("session_time_ms").is_between(start + 200_000, start + 300_000)
    heard = scans.messages.filter(~(cut & (pl.col("topic") == "TimingData")))
    silent = assess(session.scenario.session, replace(scans, messages=heard)).filter(
        pl.col("metric") == "longest_silence", pl.col("subject") == "TimingData"
    )
    assert silent["value"].item() > 100
    assert silent["passed"].item() is False


def test_messages_of_a_service_that_has_utc_only_tell_the_same(
    session: SimulatedSession, scans: SessionScans, metrics: pl.DataFrame
) -> None:
    utc_only = scans.messages.with_columns(session_time_ms=pl.lit(None, pl.Int64))
    values, again = _values(metrics), _again(session, replace(scans, messages=utc_only))
    # a clock of the feed is exact to a millisecond or so
    for key, value in values.items():
        assert again[key] == pytest.approx(value, abs=0.002), key


def test_a_feed_that_is_cut_off_says_so(session: SimulatedSession, scans: SessionScans) -> None:
    going_on = scans.session_status.filter(pl.col("status").is_in(["Inactive", "Started"]))
    values = _again(session, replace(scans, session_status=going_on))
    assert values["session_over", ""] == 0
    # until the last message
    last = scans.messages.select(pl.max("session_time_ms")).collect().item()
    begun = scans.session_status.filter(pl.col("status") == "Started").collect()
    start = begun["session_time_ms"].item()
    assert values["longest_silence", "SessionInfo"] == (last - start) / 1000


def test_what_was_set_aside_is_shared_out_by_reason(
    session: SimulatedSession, messages: list[Message], scans: SessionScans
) -> None:
    row = {
        "session": str(session.scenario.session),
        "date": session.scenario.session.date,
        "table": "f1_messages",
        "content": "{",
        "source_file": "x",
        "source_row": 1,
    }
    rows = [
        {**row, "stage": stage, "reasons": [reason]}
        for stage, reason in (("reading", "cut_short"), ("folding", "duplicate"))
    ]
    quarantine = pl.DataFrame(rows, schema=F1_QUARANTINE.schema).lazy()
    values = _again(session, replace(scans, quarantine=quarantine))
    items = len(messages) + 1  # what folding set aside is a message
    assert values["set_aside", ""] == 2
    assert values["set_aside_share", ""] == pytest.approx(200 / items)
    assert values["set_aside_for", "duplicate"] == pytest.approx(100 / items)
    assert values["set_aside_for", "out_of_order"] == 0
    assert values["rows_quarantined", "f1_laps"] == 0


def test_telemetry_is_measured_car_by_car(
    session: SimulatedSession, scans: SessionScans, metrics: pl.DataFrame
) -> None:
    assert scans.telemetry is not None
    rows = scans.telemetry.collect()
    values = _values(metrics)
    assert values["telemetry_rows", "f1_telemetry"] == rows.height
    for car in rows["driver_number"].unique():
        times = rows.filter(pl.col("driver_number") == car)["timestamp"].sort().to_list()
        gaps = [(b - a).total_seconds() for a, b in pairwise(times)]
        rate = len(gaps) / sum(gaps)
        assert values["rate_of_car", str(car)] == pytest.approx(rate)
        assert values["longest_gap_of_car", str(car)] == pytest.approx(max(gaps))
    ten = rows["timestamp"].sort()[0] + timedelta(seconds=10)
    hole = pl.col("timestamp").is_between(ten, ten + timedelta(seconds=5))
    nulled = pl.when(pl.col("rpm") > rows["rpm"].median()).then(pl.lit(["gear_out_of_range"]))
    holed = rows.filter(~hole).with_columns(nulled=nulled.otherwise(pl.col("nulled")))
    again = _again(session, replace(scans, telemetry=holed.lazy()))
    cars, left = holed["driver_number"].n_unique(), holed.height
    assert again["telemetry_longest_gap", "f1_telemetry"] > 5
    assert again["telemetry_bridged", "f1_telemetry"] == pytest.approx(
        100 * (left - 2 * cars) / (left - cars)
    )
    nulls = holed["nulled"].list.len().sum()
    assert again["nulled", "f1_telemetry.gear_out_of_range"] == pytest.approx(100 * nulls / left)


def test_weather_covers_the_minutes_it_is_told_in(
    session: SimulatedSession, scans: SessionScans, metrics: pl.DataFrame
) -> None:
    assert _values(metrics)["weather_coverage", ""] == 100
    begun = scans.session_status.filter(pl.col("status").is_in(["Started", "Finished"])).collect()
    start, end = begun["session_time_ms"].to_list()
    half = scans.weather.filter(pl.col("session_time_ms") < (start + end) / 2)
    values = _again(session, replace(scans, weather=half))
    assert values["weather_coverage", ""] == pytest.approx(50, abs=5)
    none = _again(session, replace(scans, weather=scans.weather.head(0)))
    assert none["weather_coverage", ""] is None
    assert none["observations", ""] == 0


def test_flags_are_counted_by_table_and_rule(
    session: SimulatedSession, scans: SessionScans
) -> None:
    third = (session.laps["lap_number"] == 3).sum()
    flagged = scans.laps.with_columns(
        flags=pl.when(pl.col("lap_number") == 3)
        .then(pl.lit(["compound_unknown"]))
        .otherwise(pl.lit([], pl.List(pl.String)))
    )
    values = _again(session, replace(scans, laps=flagged))
    assert values["flagged", "f1_laps.compound_unknown"] == third
    assert values["flagged", "f1_laps.racing_lap_untimed"] == 0


def test_nothing_of_a_session_without_laps_is_scored(
    session: SimulatedSession, scans: SessionScans
) -> None:
    empty = {
        name: scan.head(0)
        for name in ("laps", "weather", "track_status", "race_control", "neutralisations")
        for scan in [getattr(scans, name)]
    }
    values = _again(session, replace(scans, **empty, telemetry=None, positions=None))
    assert values["laps", ""] == 0
    assert values["laps_complete", ""] is None
    assert values[QUALITY_SCORE, ""] is None
