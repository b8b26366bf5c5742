"""The quality report of a session as a document: its content, its forms, its pictures."""

from __future__ import annotations

import io
import itertools
import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image

from ngsim_assets.f1.assess import SessionScans, assess
from ngsim_assets.f1.assessment.lap_figures import of_neutralisations
from ngsim_assets.f1.clock import clock_of
from ngsim_assets.f1.keys import SessionKey
from ngsim_assets.f1.neutralisations.evidence import of_messages as evidence_of
from ngsim_assets.f1.neutralisations.table import neutralisations
from ngsim_assets.f1.origin import Origin
from ngsim_assets.f1.plots import PICTURES, lap_times, session_figures
from ngsim_assets.f1.reading import openf1
from ngsim_assets.f1.reading.messages import Message
from ngsim_assets.f1.reading.recordings import read_file
from ngsim_assets.f1.report import session_report
from ngsim_assets.f1.sessions import of_messages
from ngsim_assets.f1.simulate import SimulatedSession
from ngsim_assets.f1.timing.openf1 import tables_of_openf1
from ngsim_assets.f1.timing.session import fold_session
from ngsim_assets.quality import report as documents
from ngsim_assets.quality.drawing import REPORT, rgb
from ngsim_assets.quality.report import DataQualityReport, report_schema
from ngsim_assets_tests.f1.assessment.sessions import race, scans_of
from ngsim_assets_tests.f1.conftest import RealSession
from ngsim_assets_tests.quality.json_schema import faults

_REAL = (
    "2018-04-29_azerbaijan_race",
    "2019-09-07_italian_qualifying",
    "2024-06-22_spanish_qualifying",
    "2020-08-30_belgian_race",
)
ORIGIN = documents.Origin(run_id="run", code_version="0", version=3)


@pytest.fixture(scope="module")
def session() -> SimulatedSession:
    """A race with a safety car and a virtual one, and half a minute of telemetry."""
    return race().session


@pytest.fixture(scope="module")
def scans() -> SessionScans:
    """Its tables."""
    return race().scans


@pytest.fixture(scope="module")
def report(session: SimulatedSession, scans: SessionScans) -> DataQualityReport:
    """Its report."""
    key = session.scenario.session
    metrics = assess(key, scans, simulated=True)
    return session_report(metrics, key, ORIGIN, figures=session_figures(scans))


def test_the_report_says_what_it_is_of(report: DataQualityReport) -> None:
    assert report.title == "Simulated Monaco, Race, 2026-07-19"
    assert "no such session took place" in report.subtitle
    assert report.partition["session"] == "2026-07-19_simulated-monaco_race"
    assert "100 % of those expected" in report.summary
    assert [rating.score for rating in report.ratings] == [95.0]
    assert set(report.failed) == {
        "telemetry_coverage:f1_positions",
        "telemetry_coverage:f1_telemetry",
    }
    silence = report.metric("longest_silence:TimingData")
    assert silence is not None
    assert silence.limit is not None
    assert silence.limit.threshold == 60
    cars = [m.name for m in report.sections[3].metrics if m.name.startswith("rate_of_car")]
    assert cars == sorted(cars, key=lambda name: int(name.partition(":")[2]))


def test_every_rule_is_listed_with_its_meaning(report: DataQualityReport) -> None:
    rules = {rule.rule: rule for rule in report.rules}
    assert rules["f1_laps.sectors_do_not_sum"].severity == "reject"
    assert rules["f1_laps.racing_lap_outlier"].severity == "flag"
    assert rules["f1_weather.weather_gap"].source
    assert all(rule.description for rule in report.rules)


def test_the_json_follows_the_published_schema(report: DataQualityReport) -> None:
    schema = json.loads(report_schema())
    for text in (report.to_json(), report.to_json(figures=True)):
        assert faults(json.loads(text), schema, schema) == []
    assert DataQualityReport.model_validate_json(report.to_json(figures=True)) == report


def test_the_page_needs_no_other_file_and_has_one_column_of_values(
    report: DataQualityReport,
) -> None:
    page = report.to_html()
    assert re.findall(r'(?:src|href)="(?!#|data:)[^"]*"', page) == []
    assert "url(" not in page
    assert "@import" not in page
    assert "<script" not in page
    assert page.count('<img src="data:image/png;base64,') == len(PICTURES) == 4
    heads = re.findall(r'<table class="metrics cards">\s*<thead><tr>(.*?)</tr>', page)
    assert len(heads) == len(report.sections)
    assert {head.count("<th ") for head in heads} == {3}
    anchors = set(re.findall(r'id="([^"]*)"', page))
    assert set(re.findall(r'href="#([^"]*)"', page)) <= anchors
    assert "Cleaned" not in report.to_markdown()
    assert "| metric | Session | unit | limit |" in report.to_markdown()


def test_equal_sessions_make_equal_pages(
    session: SimulatedSession, scans: SessionScans, report: DataQualityReport
) -> None:
    key = session.scenario.session
    again = session_report(assess(key, scans, simulated=True), key, ORIGIN, figures=report.figures)
    assert again.to_html() == report.to_html()
    drawn = lap_times(scans)
    assert drawn is not None
    assert drawn.encoded() == report.figures[0].data


def test_names_out_of_a_feed_are_text_and_no_markup(
    session: SimulatedSession, scans: SessionScans
) -> None:
    key = session.scenario.session
    topic = pl.col("topic").replace({"LapCount": '"><script>²', "Heartbeat": "²"})
    metrics = assess(key, replace(scans, messages=scans.messages.with_columns(topic=topic)))
    page = session_report(metrics, key, ORIGIN).to_html()
    assert "<script" not in page
    assert "&lt;script&gt;²" in page


def _share(data: bytes, colour: str) -> float:
    pixels = np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).astype(int)
    return float((np.abs(pixels - rgb(colour)).max(axis=2) <= 4).mean())


def test_pictures_show_the_phases(scans: SessionScans, report: DataQualityReport) -> None:
    figures = {figure.name: figure for figure in report.figures}
    assert list(figures) == list(PICTURES)
    for figure in figures.values():
        size = Image.open(io.BytesIO(figure.data)).size
        assert size[0] == round(REPORT.width * REPORT.dpi)
    # orange at 35 % on white behind lap times
    shaded = "#f5dda6"
    green = replace(scans, neutralisations=scans.neutralisations.head(0))
    without = lap_times(green)
    assert without is not None
    assert _share(figures["lap-times"].data, shaded) > 0.02
    assert _share(without.encoded(), shaded) < 0.001
    assert "safety car, virtual safety car" in figures["lap-times"].alt
    assert _share(figures["track-status"].data, "#e69f00") > 0.005


def test_what_is_not_there_is_not_drawn(session: SimulatedSession, scans: SessionScans) -> None:
    bare = replace(
        scans,
        laps=scans.laps.head(0),
        weather=scans.weather.head(0),
        track_status=scans.track_status.head(0),
        telemetry=None,
        positions=None,
    )
    assert session_figures(bare) == ()
    key = session.scenario.session
    told = session_report(assess(key, bare), key, ORIGIN)
    assert "No lap was told" in told.summary
    assert "Pictures" not in told.to_html()
    # what a score leaves out has its title all the same
    assert all(told.metric(criterion.metric) for criterion, _ in told.rated)
    bridged = told.metric("telemetry_bridged:f1_telemetry")
    assert bridged is not None
    assert bridged.raw is not None
    assert bridged.raw.value is None


def test_the_drawing_library_is_loaded_only_to_draw() -> None:
    code = "import ngsim_assets.f1.report, ngsim_assets.f1.plots, sys; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert "matplotlib" not in loaded
    assert "dagster" not in loaded


def test_reports_of_real_sessions(real_sessions: dict[str, RealSession]) -> None:
    scores: dict[str, float | None] = {}
    for key in _REAL:
        real = real_sessions[key]
        unread = [item for reading in real.readings.values() for item in reading.aside]
        scans = scans_of(
            real.origin,
            real.messages,
            real.tables,
            real.clock,
            unread=unread,
            unfolded=real.folded.aside,
        )
        metrics = assess(real.info.key, scans)
        report = session_report(metrics, real.info.key, ORIGIN)
        assert report.failed == ()
        scores[key] = report.ratings[0].score
    # one lap of 841 is refused, and one of 571 racing laps is an outlier; what has no
    # TimingData has no laps, and so no score
    assert scores == {
        "2018-04-29_azerbaijan_race": pytest.approx(98.2, abs=0.2),
        "2019-09-07_italian_qualifying": 100.0,
        "2024-06-22_spanish_qualifying": 100.0,
        "2020-08-30_belgian_race": None,
    }


def test_all_who_count_the_phases_of_real_sessions_count_the_same(
    real_sessions: dict[str, RealSession],
) -> None:
    counted: list[tuple[int, ...]] = []
    for real in real_sessions.values():
        scans = scans_of(real.origin, [], real.tables, real.clock)
        told = [
            message
            for topic in ("TrackStatus", "RaceControlMessages", "SessionStatus")
            for message in real.readings[topic].messages
        ]
        by_messages = neutralisations(real.info.key, evidence_of(told, real.tables.laps))
        figures = of_neutralisations(scans)
        counted.append(
            (
                _begun((real.folder / "TrackStatus.jsonStream").read_text("utf-8-sig")),
                by_messages.frame.height,
                scans.neutralisations.select(pl.len()).collect().item(),
                int(figures["phases", ""] or 0),
            )
        )
    assert [set(counts) for counts in counted] == [{counts[0]} for counts in counted]
    assert sum(counts[0] for counts in counted) == 20


def _begun(status: str) -> int:
    """Codes of neutralisations that were told while another one, or none, was in force."""
    told = re.findall(r'"Status":"([14567])"', status)
    return sum(
        code in "456" and code != before
        for before, code in itertools.pairwise(["1", *(code for code in told if code != "7")])
    )


def test_a_real_recording_has_telemetry_and_no_session(f1_data: Path) -> None:
    recording = f1_data / "recordings/2024-10-26_mexico_fp3_presession_car_and_position.txt"
    key = SessionKey.parse("2024-10-26_mexico-city_practice-3")
    reading, origin = read_file(recording, str(key)), Origin(key, "signalr")
    clock = clock_of(reading.messages)
    tables, account = fold_session(reading.messages, origin, clock=clock)
    scans = scans_of(origin, reading.messages, tables, clock, unfolded=account.aside)
    rows = assess(key, scans).select("metric", "subject", "value").iter_rows()
    values = {(metric, subject): value for metric, subject, value in rows}
    assert values["telemetry_rate", "f1_telemetry"] == pytest.approx(3.79, abs=0.01)
    assert values["telemetry_gap_p99", "f1_telemetry"] == pytest.approx(480, abs=1)
    assert values["telemetry_bridged", "f1_telemetry"] > 99
    assert values["nulled", "f1_telemetry.gear_out_of_range"] == pytest.approx(6500 / 72_340)
    assert values["telemetry_coverage", "f1_telemetry"] is None
    assert values["session_over", ""] is None
    # before the session there is weather and a clear track, and no lap
    drawn = [figure.name for figure in session_figures(scans)]
    assert drawn == ["track-status", "telemetry-rate", "weather"]
    assert scans.telemetry is not None
    assert scans.telemetry.select(pl.len()).collect().item() == 72_340


def test_a_real_practice_out_of_openf1(f1_data: Path) -> None:
    messages: list[Message] = []
    for path in sorted(f1_data.glob("openf1/spain_*.json")):
        endpoint = openf1.endpoint_of(path.name) or ""
        messages += openf1.read_file(path, "s", endpoint, name=path.name).messages
    info = of_messages(messages)
    assert info is not None
    origin = Origin(info.key, "openf1")
    tables, account = tables_of_openf1(messages, origin)
    scans = scans_of(origin, messages, tables, unfolded=account.aside)
    metrics = assess(info.key, scans)
    report = session_report(metrics, info.key, ORIGIN, figures=session_figures(scans))
    assert [figure.name for figure in report.figures] == ["lap-times", "track-status", "weather"]
    assert report.failed == ()
    # one lap ends before it starts, and is refused
    assert report.ratings[0].score == pytest.approx(98.6, abs=0.3)
    rows = metrics.select("metric", "subject", "value").iter_rows()
    values = {(metric, subject): value for metric, subject, value in rows}
    assert values["laps", ""] == 585
    assert values["session_over", ""] == 1
    assert values["weather_coverage", ""] == 100
    assert values["longest_silence", "openf1/weather"] == pytest.approx(60, abs=0.5)
    # a practice of an hour
    assert values["longest_silence", "openf1/sessions"] == pytest.approx(3600, abs=1)
